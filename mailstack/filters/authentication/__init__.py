"""SPF, DKIM, DMARC, ARC and Authentication-Results."""
