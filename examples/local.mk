dist_noinst_SCRIPTS += examples/quickstart.sh
EXTRA_DIST += \
	examples/behind-nat/controller.ini examples/behind-nat/segment.ini \
	examples/fan-out-full-duplex/controller.ini examples/fan-out-full-duplex/segment.ini \
	examples/fan-out-half-duplex/controller.ini examples/fan-out-half-duplex/segment.ini \
	examples/one-backend/controller.ini examples/one-backend/segment.ini \
	examples/round-robin/controller.ini examples/round-robin/segment.ini \
	examples/secured/controller.ini examples/secured/segment.ini \
	examples/unix-sockets/controller.ini examples/unix-sockets/segment.ini
