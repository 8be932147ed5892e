//! The refusals that are understood. The first row that fits counts, so the special stand before
//! the general.

use super::{
    Meaning::{Account, Blocked, Later, Login, Plain, Quota},
    Row,
    Whose::{Any, Smarthost, Unknown},
};

const ROW: Row =
    Row { whose: Any, codes: &[], statuses: &[], words: &[], means: Plain, advice: "", source: "" };

const SES: &str = "https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html";
const GMAIL: &str = "https://support.google.com/a/answer/3726730";
const EXCHANGE: &str = "https://learn.microsoft.com/troubleshoot/exchange/email-delivery/ndr/\
                        non-delivery-reports-in-exchange-online";

/// Replies with a meaning of their own.
pub(super) const TABLE: &[Row] = &[
    // ---- Recipients and messages, told apart from what sounds like them below ----
    Row {
        statuses: &[(1, 1)],
        advice: "There is no such address there: check how it is spelled.",
        source: "RFC 3463 §3.2",
        ..ROW
    },
    Row {
        codes: &[550, 553, 554],
        statuses: &[(2, 1)],
        advice: "The recipient's mailbox is switched off.",
        source: "RFC 3463 §3.3; https://support.google.com/a/answer/3726730",
        ..ROW
    },
    Row {
        statuses: &[(2, 2)],
        advice: "The recipient's mailbox is full: the recipient has to make room.",
        source: "RFC 3463 §3.3",
        ..ROW
    },
    Row {
        statuses: &[(3, 4)],
        advice: "The message is too large for this server: send less at once, or a link.",
        source: "RFC 3463 §3.4",
        ..ROW
    },
    Row {
        codes: &[551],
        advice: "The recipient has moved; the server's words may tell where to.",
        source: "RFC 5321 §3.4",
        ..ROW
    },
    // ---- Logins ----
    Row {
        whose: Smarthost,
        words: &["application-specific password", "app password", "invalidsecondfactor"],
        means: Login,
        advice: "The account wants an app password: make one in its security settings, and enter \
                 it in the route.",
        source: "https://support.google.com/mail/answer/185833",
        ..ROW
    },
    Row {
        whose: Smarthost,
        codes: &[534, 535],
        statuses: &[(7, 14)],
        words: &["via your web browser", "web login required"],
        means: Login,
        advice: "Log in to the account once in a browser, and confirm there that it was you.",
        source: GMAIL,
    },
    Row {
        whose: Smarthost,
        codes: &[535],
        statuses: &[(7, 139)],
        words: &["smtpclientauthentication is disabled", "basic authentication is disabled"],
        means: Login,
        advice: "Microsoft has switched off login by password for this mailbox: sign in with \
                 OAuth 2, or have an administrator allow authenticated SMTP.",
        source: "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/\
                 authenticated-client-smtp-submission",
    },
    Row {
        whose: Smarthost,
        codes: &[530],
        words: &["starttls"],
        means: Login,
        advice: "The server wants TLS first: set tls of the route to require or verify.",
        source: "RFC 3207 §4",
        ..ROW
    },
    // ---- Accounts ----
    Row {
        whose: Smarthost,
        codes: &[525, 535],
        words: &["unauthorized ip", "ip address is not authorized", "ip not authorized"],
        means: Account,
        advice: "The provider takes mail only from internet addresses on its list: add ours in \
                 the settings there.",
        source: "https://help.brevo.com/hc/en-us/articles/115000188150",
        ..ROW
    },
    Row {
        whose: Smarthost,
        statuses: &[(1, 8), (7, 501), (7, 502), (7, 503), (7, 705), (7, 708), (7, 750)],
        words: &["bad outbound sender", "outboundspamexception", "useraction verdict is not none"],
        means: Account,
        advice: "The provider has stopped this account from sending, since it looks as if spam \
                 came from it. Log in there, change the password, and follow what it says.",
        source: EXCHANGE,
        ..ROW
    },
    Row {
        whose: Smarthost,
        words: &[
            "sending paused for this account",
            "sending suspended for this account",
            "ability to send email is currently paused",
        ],
        means: Account,
        advice: "The provider has paused this account. Its mail to the account's owner tells why.",
        source: SES,
        ..ROW
    },
    Row {
        whose: Smarthost,
        words: &[
            "email address is not verified",
            "identities failed the check",
            "does not match a verified sender identity",
        ],
        means: Account,
        advice: "The provider sends only from addresses that were verified there (and, while the \
                 account is on trial, only to such): verify the address, or have the trial ended.",
        source: SES,
        ..ROW
    },
    Row {
        whose: Smarthost,
        words: &["is not authorized to perform"],
        means: Account,
        advice: "The login works, but it may not send: give it that right at the provider.",
        source: SES,
        ..ROW
    },
    Row {
        whose: Smarthost,
        words: &[
            "account is not yet activated",
            "are for test purposes only",
            "domain * is not allowed to send",
            "domain not verified",
            "domain is disabled",
        ],
        means: Account,
        advice: "The provider has not unlocked this account, or its domain, for sending yet: see \
                 its control panel.",
        source: "https://help.mailgun.com/hc/en-us/articles/217531258; \
                 https://help.brevo.com/hc/en-us/articles/115000188150",
        ..ROW
    },
    Row {
        whose: Smarthost,
        words: &[
            "payment required",
            "payment overdue",
            "payment is overdue",
            "invoice*overdue",
            "account*past due",
            "subscription*expired",
            "trial*expired",
            "trial has ended",
        ],
        means: Account,
        advice: "The provider wants to be paid: see its control panel.",
        source: "the words of several providers",
        ..ROW
    },
    Row {
        whose: Smarthost,
        statuses: &[(7, 13)],
        words: &[
            "your account*suspended",
            "your account*disabled",
            "your account*locked",
            "your account*blocked",
            "your account*deactivated",
            "your account*terminated",
            "account suspended",
            "account is suspended",
            "account has been suspended",
            "account disabled",
            "account is disabled",
            "account has been disabled",
            "account locked",
            "account is locked",
            "account has been locked",
            "account is inactive",
            "user is suspended",
            "user suspended",
        ],
        means: Account,
        advice: "The provider has closed or locked this account. Log in there and see why.",
        source: "RFC 5248, X.7.13; the words of several providers",
        ..ROW
    },
    // ---- Quotas ----
    Row {
        whose: Smarthost,
        statuses: &[(1, 90)],
        words: &[
            "daily*limit",
            "daily*quota",
            "hourly*limit",
            "hourly*quota",
            "sending limit",
            "send limit exceeded",
            "sending quota",
            "submissionquotaexceeded",
            "maximum credits exceeded",
            "message limit exceeded",
        ],
        means: Quota,
        advice: "The provider's limit for sending is used up. Mail waits until it allows more.",
        source: "https://support.google.com/a/answer/166852; \
                 https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html; \
                 X.1.90 of Exchange Online; 450 of GMX",
        ..ROW
    },
    Row {
        whose: Smarthost,
        words: &["sending rate", "rate limit", "too many messages", "too many concurrent"],
        means: Later,
        advice: "The provider wants fewer messages at a time.",
        source: "https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html",
        ..ROW
    },
    // ---- What any login may come to ----
    Row {
        whose: Smarthost,
        codes: &[534, 535],
        means: Login,
        advice: "User or password is wrong, or was changed: correct the login in the settings.",
        source: "RFC 4954 §6",
        ..ROW
    },
    Row {
        whose: Smarthost,
        codes: &[530],
        means: Login,
        advice: "The server wants a login: give the route a user and a password.",
        source: "RFC 4954 §6",
        ..ROW
    },
    Row {
        whose: Unknown,
        codes: &[502, 503, 550, 551, 553, 554],
        words: &[
            "relay access denied",
            "relaying denied",
            "relaying not allowed",
            "relay not permitted",
            "unable to relay",
            "authentication required",
            "authentication is required",
            "must authenticate",
            "not authenticated",
            "please authenticate",
        ],
        means: Login,
        advice: "The server passes mail on only after a login: give the route a user and a \
                 password.",
        source: "the words of Postfix, Sendmail, Exim and Exchange",
        ..ROW
    },
    // ---- Our internet address ----
    Row {
        words: &["dbl.spamhaus", "surbl", "uribl"],
        advice: "A link or a domain in the message is on a list of those that spammers use.",
        source: "https://www.spamhaus.org/dbl/; https://surbl.org; https://uribl.com",
        ..ROW
    },
    Row {
        statuses: &[(7, 25)],
        words: &["ptr record", "reverse dns", "reverse hostname", "rdns", "cannot find your host"],
        means: Blocked,
        advice: "The internet address that we send from has no fitting name in DNS (PTR): ask \
                 your internet provider for one, or send by a smarthost (Settings, Routes).",
        source: "RFC 7372 §3.3; https://support.google.com/mail/answer/81126",
        ..ROW
    },
    Row {
        words: &[
            "spamhaus",
            "spamcop",
            "barracuda",
            "sorbs",
            "uceprotect",
            "dnsbl",
            "dnsrbl",
            " rbl",
            "blocked using",
            "blocklist",
            "block list",
            "blacklist",
            "black list",
            "banned sending ip",
            "part of their network is on our",
            "dynamic ip",
            "dynamic address",
            "residential",
            "ip address*blocked",
            "poor reputation",
        ],
        means: Blocked,
        advice: "The server takes no mail from our internet address, which is on a block list, as \
                 most lines at home are. Send by a smarthost (Settings, Routes); to send \
                 directly, have the address taken off the list that the server names.",
        source: "https://www.spamhaus.org/faqs/; 5.7.606 of Exchange Online; S3140 of Outlook.com; \
                 RFC 5782",
        ..ROW
    },
    // ---- Senders and contents ----
    Row {
        statuses: &[(7, 20), (7, 21), (7, 22), (7, 23), (7, 24), (7, 26), (7, 27), (7, 30)],
        words: &["dmarc", "spf check", "spf fail", "spf record", "unauthenticated email"],
        advice: "The receiver cannot tell that the mail comes from the domain of its sender: sign \
                 it (Settings, Signing), have our address in the domain's SPF record, or send by \
                 the domain's own provider.",
        source: "RFC 7372 §3; RFC 7489 §10.3",
        ..ROW
    },
    Row {
        whose: Smarthost,
        words: &[
            "sender address is not allowed",
            "not owned by user",
            "send as this sender",
            "sendasdenied",
            "not authorised to send",
            "not authorized to send",
        ],
        advice: "The provider takes no mail of this sender by our login: let the sender's address \
                 be one that belongs to the account.",
        source: "Postfix reject_sender_login_mismatch; https://www.gmx.net; Exchange Online",
        ..ROW
    },
    Row {
        codes: &[550, 552, 554],
        words: &["spam", "unsolicited", "junk mail", "phishing"],
        advice: "The server takes the message for spam.",
        source: "RFC 3463 §3.8",
        ..ROW
    },
];

/// Replies to MAIL, RCPT, DATA or its end that are about none of them: a server that was started
/// anew behind its balancer has forgotten us, or one does not know what every server knows.
pub(super) const ABOUT_SESSIONS: &[Row] = &[
    Row { codes: &[502, 503], means: Later, source: "RFC 5321 §4.2.4, §4.3.2", ..ROW },
    Row {
        codes: &[500],
        statuses: &[(5, 0), (5, 1)],
        words: &["unrecognized", "unrecognised", "not recognized", "not recognised"],
        means: Later,
        source: "RFC 5321 §4.2.4; RFC 3463 §3.6",
        ..ROW
    },
];
