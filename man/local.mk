dist_man_MANS += man/cloudbus.ini.5
