require "fileinto";
if address :localpart "from" ["tim", ""] { fileinto "wrong1"; }
if header :contains "subject" "über" { fileinto "right"; }
if exists "Broken" { fileinto "wrong2"; }
