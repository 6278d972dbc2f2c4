require ["fileinto", "vacations"];

if header :contains "subject" "offer"
  fileinto "Offers";
}
keep
redirect "nobody";
if size 10K { discard; }
else if true { stop; }
unknown "x";
