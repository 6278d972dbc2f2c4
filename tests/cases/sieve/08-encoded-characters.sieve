require ["encoded-character", "fileinto"];
if header :contains "subject" "${unicode:20AC}" { fileinto "Caf${hex:c3 a9}"; stop; }
discard;
