dist_man_MANS += man/cloudbus.ini.5
dist_man_MANS += man/cloudbus-protocol.7 man/controller.8 man/segment.8
dist_man_MANS += man/cloudbus.1 man/cloudbus-security.7 man/cloudbus-metrics.7
