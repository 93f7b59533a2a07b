# unit tests of src/bus
