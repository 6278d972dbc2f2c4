"""Whatever is queued: its rank is found quickly, and nobody jumps the line with list mail."""

from hypothesis import given
from hypothesis import strategies as st

from mailstack.delivery.rank import BULK, LOOK_OCTETS, NORMAL, URGENT, rank_of
from tests.kit.fuzzing import FUZZ

PIECES = st.sampled_from(
    [
        *(b"Subject: ", b"subject:", b"List-Unsubscribe: <x>\r\n", b"List-Id:", b"Precedence: bulk\r\n"),
        *(
            b"Content-Type: text/plain\r\n",
            b"Content-Type: multipart/mixed; boundary=b\r\n",
            b"--b\r\n",
            b"--b--",
        ),
        *(b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n"),
        *(b"=?utf-8?b?", b"=?utf-8?q?", b"?=", b"In-Reply-To: <1@x>\r\n", b"code ", b"482913", b"123-456 "),
        *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b"\xff\xfe", b" ", b"\t", b"=", b"=3D", b"Y29kZQ=="),
    ]
)
FRONTS = st.lists(PIECES | st.binary(max_size=12), max_size=60).map(b"".join)


@FUZZ
@given(FRONTS, st.integers(1, 60), st.booleans())
def test_any_octets_have_a_rank(front: bytes, recipients: int, is_whole: bool) -> None:
    def rank(octets: bytes) -> int:
        return rank_of("submission", octets, recipients=recipients, is_whole=is_whole, bulk_recipients=50)

    found = rank(front[:LOOK_OCTETS])
    assert found in (URGENT, NORMAL, BULK)
    if recipients >= 50:
        assert found == BULK
    if not is_whole or recipients > 3:
        assert found != URGENT
    assert rank(b"List-Unsubscribe: <https://x.test>\r\n" + front) == BULK
