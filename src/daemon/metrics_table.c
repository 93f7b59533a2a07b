#include "daemon/metrics_table.h"

#define G "gauge"
#define C "counter"

const struct metrics_row *metrics_table(void)
{
	static const struct metrics_row rows[] = {
		{"cloudbus_build_info", G, "The version of the program, and which of the two."},
		{"cloudbus_start_time_seconds", G, "When the process started."},
		{"cloudbus_cpu_seconds_total", C, "Processor time of the process."},
		{"cloudbus_reloads_total", C, "Configurations read again."},
		{"cloudbus_last_reload_timestamp_seconds", G,
			"When the configuration in force was read."},
		{"cloudbus_draining", G, "Whether the process is to end with its sessions."},
		{"cloudbus_log_lines_dropped_total", C, "Lines of the log that were lost."},
		{"cloudbus_memory_limit_bytes", G, "Unread bytes that may be held: memory=."},
		{"cloudbus_memory_held_bytes", G, "Unread bytes that are held."},
		{"cloudbus_memory_refused_total", C, "Sessions refused for memory=."},
		{"cloudbus_memory_reset_total", C, "Sessions reset for memory=."},
		{"cloudbus_accept_failures_total", C, "Connections not accepted at once."},
		{"cloudbus_listeners_paused", G, "Listeners that cannot accept now."},
		{"cloudbus_local_ports_exhausted_total", C,
			"Connections not begun, as no local port was left."},

		{"cloudbus_sessions", G, "Sessions."},
		{"cloudbus_sessions_waiting", G, "Sessions that have not begun."},
		{"cloudbus_sessions_opened_total", C, "Sessions that have begun."},
		{"cloudbus_sessions_refused_total", C, "Sessions that did not begin."},
		{"cloudbus_sessions_ended_total", C, "Sessions that had begun and are over."},
		{"cloudbus_session_received_bytes_total", C, "Bytes of clients or backends."},
		{"cloudbus_session_sent_bytes_total", C, "Bytes to clients or backends."},
		{"cloudbus_latches_total", C, "Sessions that one of several members got."},
		{"cloudbus_members_dropped_total", C, "Members that left others behind."},
		{"cloudbus_unknown_services_total", C,
			"Sessions that a peer opened, of no service here."},

		{"cloudbus_transports", G, "Connections to other nodes."},
		{"cloudbus_transports_opened_total", C, "Connections to other nodes, made."},
		{"cloudbus_transports_ended_total", C, "Connections to other nodes, ended."},
		{"cloudbus_transport_received_bytes_total", C, "Bytes of other nodes."},
		{"cloudbus_transport_sent_bytes_total", C, "Bytes to other nodes."},
		{"cloudbus_dial_failures_total", C, "Attempts to reach another node that failed."},
		{"cloudbus_connections_refused_total", C,
			"Connections of other nodes turned away at the door."},

		{"cloudbus_link_up", G, "Whether new sessions can go there."},
		{"cloudbus_link_transports", G, "Connections of the link."},
		{"cloudbus_link_round_trip_seconds", G, "The least round trip lately."},
		{"cloudbus_link_dial_failures_total", C, "Attempts that failed."},
		{"cloudbus_link_received_bytes_total", C, "Bytes of the other node."},
		{"cloudbus_link_sent_bytes_total", C, "Bytes to the other node."},

		{"cloudbus_token_expiry_timestamp_seconds", G, "When this node's token ends."},
		{"cloudbus_token_expiring", G, "Whether the log warns of that."},
		{"cloudbus_token_revoked", G, "Whether this node is on its own list."},
		{"cloudbus_peer_token_expiry_timestamp_seconds", G,
			"When the first token of a node that is connected ends."},
		{"cloudbus_peer_tokens_expiring", G, "Connections whose peer's token ends soon."},
		{"cloudbus_nodes", G, "Nodes that are connected and have proved who they are."},
		{"cloudbus_node_transports", G, "Connections to that node."},
		{"cloudbus_node_token_expiry_timestamp_seconds", G, "When its token ends."},
		{"cloudbus_handshakes_total", C, "Handshakes that are over."},
		{"cloudbus_sessions_forbidden_total", C, "Sessions that a token does not allow."},
		{"cloudbus_names_forbidden_total", C,
			"Announced services that a token does not allow."},
		{"cloudbus_revoked_entries", G, "Entries of the revocation list in force."},
		{"cloudbus_key_reloads_total", C, "Trust, identity and token read again."},
		{"cloudbus_revocation_reloads_total", C, "The revocation list read again."},

		{"cloudbus_dns_queries_total", C, "Questions to name servers."},
		{"cloudbus_dns_answers_total", C, "What became of them."},

		{"cloudbus_metrics_omitted_lines", G, "Lines that had no room in this text."},
	};
	_Static_assert(sizeof rows / sizeof *rows == METRICS_IDS, "a row for each of its enum");
	return rows;
}
