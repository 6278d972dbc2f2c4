"""Passwords (case-folded) that are on everybody's list and long enough to pass the other rules.

Words shorter than the minimum are here because digits at the end do not make them better.
"""

from __future__ import annotations

COMMON = frozenset(
    """
    password passw0rd p@ssword p@ssw0rd pa$$word pa$$w0rd passwort kennwort motdepasse contrasena
    contraseña wachtwoord parola senha haslo heslo salasana losenord lösenord adgangskode passord
    mypassword thepassword newpassword yourpassword password-password passwordpassword
    qwerty qwertz azerty qwertyuiop qwertzuiop azertyuiop qwertyuiopasdf asdfghjkl asdfghjklö
    asdfasdf asdfasdfasdf zxcvbnm yxcvbnm qweasdzxc qazwsx qazwsxedc 1qaz2wsx 1qaz2wsx3edc
    1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y 1q2w3e4r5t6z q1w2e3r4 q1w2e3r4t5 zaq12wsx zaq1zaq1
    qwerty123456 123456qwerty qwe123qwe123 abc123abc123 abcd1234 abcd12345678 a1b2c3d4 a1b2c3d4e5
    123456789a 123456789q 123456789abc 1234567890a 1234567890q 12345678910 1234567891 0123456789
    9876543210 0987654321 1029384756 1357924680 2468101214 1122334455 112233445566 1212121212
    1231231231 123123123123 123321123321 1234512345 1234123412341234 12345qwert 12345qwerty
    147258369 147852369 159753 159357 741852963 789456123 7894561230 987654321a 963852741
    iloveyou iloveyouso iloveyouforever ichliebedich jetaime tequiero tequieromucho teamo
    letmein letmeinnow welcome welcomeback willkommen bienvenue administrator admin adminadmin
    administrador root rootroot toor master changeme changemenow changeme! default guest
    testtest testtesttest testpassword test user username usernamepassword secret secretpassword
    topsecret mysecret mailserver mailstack postmaster webmaster hostmaster
    football baseball basketball superman batman spiderman starwars pokemon pokemon1 dragon
    princess princesse sunshine monkey shadow michael jennifer jessica charlie ashley daniel
    liverpool chelsea arsenal manchester barcelona realmadrid juventus bayernmunchen
    computer internet whatever trustno1 trustnoone nothing nothing-here google facebook
    correcthorsebatterystaple correct-horse-battery-staple blink182 sommer summer winter herbst
    frühling spring autumn january february september october november december
    """.split()  # noqa: SIM905
)
