"""SASL exchanges for every protocol.  Pure."""
