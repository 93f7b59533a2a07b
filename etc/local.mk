# An administrator's file is never touched: installed where none is, removed only as it
# was installed.
confdir = $(sysconfdir)/cloudbus
conf_samples = etc/controller.ini etc/segment.ini
EXTRA_DIST += $(conf_samples)

# Not where systemd looks: whether it is to run them, and as whom, is not ours to say.
dist_doc_DATA = etc/cloudbus-controller.service etc/cloudbus-segment.service

install-data-local: install-conf
uninstall-local: uninstall-conf

.PHONY: install-conf uninstall-conf
install-conf:
	@$(NORMAL_INSTALL)
	@$(MKDIR_P) "$(DESTDIR)$(confdir)"
	@for f in $(conf_samples); do \
		to="$(DESTDIR)$(confdir)/$${f##*/}"; \
		if test -e "$$to" || test -L "$$to"; then \
			echo " $$to is there already and stays as it is"; \
		else \
			echo " $(INSTALL_DATA) $(srcdir)/$$f $$to"; \
			$(INSTALL_DATA) "$(srcdir)/$$f" "$$to" || exit 1; \
		fi; \
	done

uninstall-conf:
	@$(NORMAL_UNINSTALL)
	@for f in $(conf_samples); do \
		to="$(DESTDIR)$(confdir)/$${f##*/}"; \
		test -e "$$to" || continue; \
		if cmp -s "$(srcdir)/$$f" "$$to"; then \
			echo " rm -f $$to"; \
			rm -f "$$to" || exit 1; \
		else \
			echo " $$to was edited and stays"; \
		fi; \
	done
	@rmdir "$(DESTDIR)$(confdir)" 2>/dev/null || :
