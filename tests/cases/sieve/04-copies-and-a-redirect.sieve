require ["fileinto", "copy", "envelope"];

fileinto :copy "archive";
if envelope :localpart "to" "sales" {
  redirect :copy "Team <team@example.org>";
  redirect "\"odd name\"@example.org";
}
if size :over 1M { discard; stop; }
fileinto "Sales/2024";
fileinto "archive";
