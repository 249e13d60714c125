"""Which e-mail addresses and phone numbers are accepted, and which spellings are one."""

import pytest

from user_service.emails import as_spelled, canonical_email, check_email
from user_service.phones import check_phone


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("u@müller.example", "u@xn--mller-kva.example"), ("u@MÜLLER.example", "u@XN--MLLER-KVA.example")),
        *(
            ("u@mu\u0308ller.example", "u@müller.example"),
            ("u@例え。jp", "u@例え.jp"),
            ("u@例え.jp", "u@xn--r8jz45g.jp"),
        ),
        *(("İ@example.com", "i\u0307@example.com"), ("ΣΑΣ@example.com", "σας@example.com"), ("Ö@a.de", "ö@a.de")),
        *(("ẞ@a.de", "ß@a.de"), ("ｕ＠example.com", "U@EXAMPLE.COM")),  # noqa: RUF001
    ],
)
def test_spellings_of_one_mailbox_are_one_account(one: str, other: str) -> None:
    assert canonical_email(check_email(one)) == canonical_email(check_email(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [("straße@a.de", "strasse@a.de"), ("u@faß.de", "u@fass.de"), ("ı@a.de", "i@a.de"), ("u@σας.gr", "u@σασ.gr")],
)
def test_different_mailboxes_are_different_accounts(one: str, other: str) -> None:
    assert canonical_email(check_email(one)) != canonical_email(check_email(other))


@pytest.mark.parametrize(
    "email",
    [
        *(
            "x@127.0.0.1",
            "x@[127.0.0.1]",
            "x@[IPv6:::1]",
            "x@1.2.3",
            "x@a_b.example.com",
            "x@-a.example",
            "x@a-.example",
        ),
        *("x@a.example-", "x@ü-.example", "x@☕.example", "x@example.123", "x@example.", "x@.example", "x@localhost"),
        *("a\u3164b@example.com", "\u0301@example.com", "a\ufe0f@example.com", f"x@{'ü' * 60}.example", "x@a..example"),
        f"{'x' * 60}@{'.'.join(['ü' * 20] * 9)}.example",
    ],
    ids=ascii,
)
def test_an_address_that_no_mail_server_can_have_is_refused(email: str) -> None:
    with pytest.raises(ValueError, match="e-mail address"):
        check_email(email)


@pytest.mark.parametrize("email", ["x@my--service.example", "x@1.example", "o'neill+x@example.co.uk", "用户@例え.jp"])
def test_unusual_addresses_are_accepted_as_they_are(email: str) -> None:
    assert check_email(f" {email} ") == email


def test_the_spelling_distinguishes_old_accounts_of_one_mailbox() -> None:
    assert as_spelled(" U@MÜLLER.example") == "u@müller.example" != canonical_email("u@müller.example")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("+49 (0)170 1234567", "+491701234567"), ("0049 170 1234567", "+491701234567")),
        *(("(0049) 170-1234567", "+491701234567"), ("+49 0170 1234567", "+491701234567")),
        *(("＋４９ １７０ １２３４５６７", "+491701234567"), ("+٤٩١٧٠١٢٣٤٥٦٧", "+491701234567")),  # noqa: RUF001
        *(("\u202a+49 170 1234567\u202c", "+491701234567"), ("+49\u2011170\u20111234567", "+491701234567")),
        *(("+49 170\ufe0f 123\u00ad45\u200b67", "+491701234567"), ("+49.170/1234567", "+491701234567")),
        *(("+39 06 698 12345", "+390669812345"), ("+39 (0)6 698 12345", "+390669812345")),
        *(("+7 (0) 495 1234567", "+74951234567"), ("+352 (0)621 123 456", "+352621123456")),
        *(("+1 (202) 555-0123", "+12025550123"), ("+1 1 202 555 0123", "+12025550123")),
        *(("+44 20 7946 0000", "+442079460000"), ("+44 (0)7700 900123", "+447700900123")),  # reserved for examples
        *(("+1 555 555 0100", "+15555550100"), ("+4930123456", "+4930123456"), ("+3222345678", "+3222345678")),
    ],
    ids=ascii,
)
def test_all_spellings_of_a_phone_number_become_one_number(text: str, number: str) -> None:
    assert check_phone(text) == number


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *((text, "with its country") for text in ("1234567", "0170 1234567", "011 49 170 1234567", "+999 123456", "+")),
        *((text, "with its country") for text in ("+49170", "+1 202 5550", "+" + "1" * 20, "+49170123456789012", "٣")),
        *((text, "with its country") for text in ("+1-800-FLOWERS", "+49 CALL ME", "+44 0044 20 7946 0000", "☎")),
        *((text, "extension") for text in ("+44 20 7946 0000 ext. 12", "+1 202 555 0123x9", "+49 30 123456 #7")),
    ],
)
def test_a_number_that_cannot_be_called_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_phone(text)
