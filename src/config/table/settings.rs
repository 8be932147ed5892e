//! The settings themselves, in the order of the page and the reference.

use super::{DAY, GIB, KIB, Kind, MIB, Setting};
use crate::{config::providers, limits};

const PASSWORD: Kind =
    Kind::Secret { most: limits::PASSWORD_BYTES, of: "without control characters" };
const SOCKET: &str = "an IP address and a port such as 0.0.0.0:25 or [::]:25";
const URL: &str = "an address such as https://login.example.com/token (http:// only to an IP \
     address of this machine)";
const NETWORK: &str = "a private network such as 192.168.1.0/24 or fd00::/8, a single address, or \
     a public network of /16 or smaller (IPv6: /32 or smaller)";

/// All settings, in the order of the page and the reference.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "hostname",
        kind: Kind::Text("a host name such as relay.home.arpa"),
        default: "the name of this machine",
        help: "The name this relay calls itself by towards other mail servers. Mail to it is \
               local.",
        example: r#""relay.home.arpa""#,
    },
    Setting {
        key: "listen.smtp",
        kind: Kind::List { of: SOCKET, most: limits::LISTEN },
        default: "127.0.0.1:2525",
        help: "Where mail from other servers and from trusted devices comes in. The usual port is \
               25.",
        example: r#"["0.0.0.0:25", "[::]:25"]"#,
    },
    Setting {
        key: "listen.submission",
        kind: Kind::List { of: SOCKET, most: limits::LISTEN },
        default: "127.0.0.1:2587",
        help: "Where people and programs with a login hand mail in, encrypted after STARTTLS. The \
               usual port is 587.",
        example: r#"["0.0.0.0:587"]"#,
    },
    Setting {
        key: "listen.submissions",
        kind: Kind::List { of: SOCKET, most: limits::LISTEN },
        default: "",
        help: "The same, encrypted from the first octet. The usual port is 465.",
        example: r#"["0.0.0.0:465"]"#,
    },
    Setting {
        key: "listen.web",
        kind: Kind::List { of: SOCKET, most: limits::LISTEN },
        default: "127.0.0.1:8025",
        help: "Where the page is.",
        example: r#"["0.0.0.0:80"]"#,
    },
    Setting {
        key: "trusted",
        kind: Kind::List { of: NETWORK, most: limits::TRUSTED },
        default: "this machine and the private networks it is attached to, less its default \
               gateways",
        help: "Networks whose devices may send mail anywhere without a login. Never more than you \
               would give a key to.",
        example: r#"["127.0.0.0/8", "::1/128", "192.168.1.0/24"]"#,
    },
    Setting {
        key: "devices",
        kind: Kind::Objects { of: "a device", most: limits::DEVICES },
        default: "none",
        help: "Devices with rules of their own, whatever network they are in.",
        example: r#"[{ "address": "192.168.1.20", "name": "Front door" }]"#,
    },
    Setting {
        key: "devices[].address",
        kind: Kind::Text(NETWORK),
        default: "",
        help: "Its address, as its router gives it always, or a network. The narrowest entry \
               counts.",
        example: r#""192.168.1.20""#,
    },
    Setting {
        key: "devices[].name",
        kind: Kind::Text("1 to 64 characters"),
        default: "none",
        help: "What you call it.",
        example: r#""Front door""#,
    },
    Setting {
        key: "devices[].access",
        kind: Kind::Choice(&["allow", "any-login", "login", "block"]),
        default: "allow",
        help: "Send without a login; or so that any login is good, if it insists on one; or with \
               a login; or nothing.",
        example: r#""any-login""#,
    },
    Setting {
        key: "devices[].encrypted",
        kind: Kind::Flag,
        default: "false",
        help: "It must encrypt (STARTTLS or port 465) what it sends.",
        example: "true",
    },
    Setting {
        key: "devices[].sender",
        kind: Kind::Text("an address such as me@example.org"),
        default: "none: as it says",
        help: "Its mail leaves from this address, in envelope and From. The senders of a route go \
               before.",
        example: r#""alarm@example.org""#,
    },
    Setting {
        key: "devices[].owner",
        kind: Kind::Text("a user, an alias or an address"),
        default: "none: its sender",
        help: "Who is told when its mail cannot be delivered.",
        example: r#""me@example.org""#,
    },
    Setting {
        key: "devices[].digest_after",
        kind: Kind::Number { min: 1, max: limits::DIGEST_MESSAGES as u64 },
        default: "no bound",
        help: "So many messages go one by one; what comes beyond is summed up in one.",
        example: "10",
    },
    Setting {
        key: "devices[].digest_every",
        kind: Kind::Duration { min: 60, max: DAY },
        default: "10m",
        help: "The time in which they are counted, and after which the summary is sent.",
        example: r#""10m""#,
    },
    Setting {
        key: "devices[].expect_every",
        kind: Kind::Duration { min: 60, max: 60 * DAY },
        default: "never",
        help: "Tell me when it has sent nothing for this long.",
        example: r#""24h""#,
    },
    Setting {
        key: "domains",
        kind: Kind::List { of: "a domain such as home.arpa", most: limits::DOMAINS },
        default: "none but the host name",
        help: "Domains whose mail stays here, for the users and aliases below.",
        example: r#"["home.arpa"]"#,
    },
    Setting {
        key: "users",
        kind: Kind::Objects { of: "a user", most: limits::USERS },
        default: "none",
        help: "People and devices that have a mailbox here, a login, or both.",
        example: r#"[{ "name": "alice", "password": "a long one" }]"#,
    },
    Setting {
        key: "users[].name",
        kind: Kind::Text(
            "1 to 64 of the letters a to z, digits, dot, dash and underscore, beginning with a \
                   letter or digit",
        ),
        default: "",
        help: "The name to log in with, and the part of the address before the @.",
        example: r#""alice""#,
    },
    Setting {
        key: "users[].password",
        kind: PASSWORD,
        default: "none: mail is taken, nobody logs in",
        help: "The password. Written in clear here, it is replaced by its argon2id hash at once.",
        example: r#""a long one""#,
    },
    Setting {
        key: "users[].quota",
        kind: Kind::Size { min: 64 * KIB, max: 1024 * GIB },
        default: "no bound",
        help: "The most mail that is kept for this user.",
        example: r#""256M""#,
    },
    Setting {
        key: "users[].send_as",
        kind: Kind::List {
            of: "an address such as me@example.org, a whole domain as *@example.org, or * for any \
                   address",
            most: limits::SEND_AS,
        },
        default: "none but their own",
        help: "Addresses that this user may send as, beside their own here.",
        example: r#"["me@example.org"]"#,
    },
    Setting {
        key: "aliases",
        kind: Kind::Objects { of: "an alias", most: limits::ALIASES },
        default: "none",
        help: "Further local addresses, and where their mail goes.",
        example: r#"[{ "from": "root", "to": ["alice", "me@example.com"] }]"#,
    },
    Setting {
        key: "aliases[].from",
        kind: Kind::Text(
            "a name, an address in a local domain, or a whole local domain as @home.arpa",
        ),
        default: "",
        help: "Whose mail this is: a name (in every local domain), one address, or a whole domain.",
        example: r#""root""#,
    },
    Setting {
        key: "aliases[].to",
        kind: Kind::List { of: "a local name or an address", most: limits::ALIAS_TARGETS },
        default: "",
        help: "Where it goes: users, other aliases or addresses anywhere.",
        example: r#"["alice", "me@example.com"]"#,
    },
    Setting {
        key: "catch_all",
        kind: Kind::Text("a user, an alias or an address"),
        default: "none: mail to unknown names is refused",
        help: "Who gets the mail for local names that nobody has.",
        example: r#""alice""#,
    },
    Setting {
        key: "owner",
        kind: Kind::Text("a user, an alias or an address"),
        default: "none",
        help: "Who gets mail for root and postmaster, and reports for senders whom nobody knows.",
        example: r#""me@example.com""#,
    },
    Setting {
        key: "masquerade",
        kind: Kind::Text("a domain that the world knows, such as example.org"),
        default: "none",
        help: "The domain of senders that leave, in place of names that only this network knows.",
        example: r#""example.org""#,
    },
    Setting {
        key: "srs",
        kind: Kind::Flag,
        default: "true",
        help: "Write senders of mail that an alias sends on anew (SRS), so that it passes SPF.",
        example: "false",
    },
    Setting {
        key: "push",
        kind: Kind::Objects { of: "a push", most: limits::PUSH },
        default: "none",
        help: "Local names whose mail ends as a notice on your phone (ntfy), or as a request to a \
               program.",
        example: r#"[{ "name": "phone", "url": "https://ntfy.sh/my-own-topic" }]"#,
    },
    Setting {
        key: "push[].name",
        kind: Kind::Text(
            "1 to 64 of the letters a to z, digits, dot, dash and underscore, beginning with a \
             letter or digit",
        ),
        default: "",
        help: "The part of the address before the @; aliases may lead there.",
        example: r#""phone""#,
    },
    Setting {
        key: "push[].url",
        kind: Kind::Text(
            "an address such as https://ntfy.sh/my-own-topic (http:// only to an IP address of a \
             private network)",
        ),
        default: "",
        help: "Where it is posted. Of ntfy, the last part is the topic: nobody should guess it.",
        example: r#""https://ntfy.sh/my-own-topic""#,
    },
    Setting {
        key: "push[].kind",
        kind: Kind::Choice(&["ntfy", "json"]),
        default: "ntfy",
        help: "What is posted: as ntfy takes it, or {id, from, to, subject, text} for any program.",
        example: r#""json""#,
    },
    Setting {
        key: "push[].token",
        kind: Kind::Secret {
            most: limits::TOKEN_BYTES,
            of: "of letters, digits and -._~+/, with = at the end alone",
        },
        default: "none",
        help: "What lets us in there, as a bearer token. It moves to secrets.json.",
        example: r#""tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2""#,
    },
    Setting {
        key: "alerts",
        kind: Kind::Text("a user, an alias, a push or an address"),
        default: "none: problems are shown on the page",
        help: "Who is told when mail is stuck, or something else needs a person. A push gets \
               through when mail does not.",
        example: r#""phone""#,
    },
    Setting {
        key: "routes",
        kind: Kind::Objects { of: "a route", most: limits::ROUTES },
        default: "none: straight to the mail servers of each recipient's domain",
        help: "How mail leaves. The narrowest match wins (address, domain, *); of equal ones, the \
               next helps out when one fails.",
        example: r#"[{ "for": "*", "via": "smtp.example.com" }]"#,
    },
    Setting {
        key: "routes[].for",
        kind: Kind::Text("* for all recipients, a domain such as example.org, or an address"),
        default: "",
        help: "Which recipients go this way.",
        example: r#""*""#,
    },
    Setting {
        key: "routes[].from",
        kind: Kind::Text("* for all senders, a domain such as example.org, or an address"),
        default: "*",
        help: "Only what comes from these senders.",
        example: r#""camera@home.arpa""#,
    },
    Setting {
        key: "routes[].client",
        kind: Kind::Text("an IP address, a network such as 192.168.1.0/24, or a user's name"),
        default: "all of them",
        help: "Only what this device, or this user, hands in.",
        example: r#""192.168.1.20""#,
    },
    Setting {
        key: "routes[].provider",
        kind: Kind::Choice(providers::NAMES),
        default: "none",
        help: "A provider that is known here: its server, senders and pace need not be given then.",
        example: r#""gmail""#,
    },
    Setting {
        key: "routes[].via",
        kind: Kind::Text(
            "mx, discard, or a server with its port such as smtp.example.com:587, 192.0.2.1:25 or \
                   [2001:db8::1]:25",
        ),
        default: "the provider's, else it must be given",
        help: "The server that passes the mail on (port 587 if none is given); mx: the domain's \
               own; discard: nobody.",
        example: r#""smtp.example.com:587""#,
    },
    Setting {
        key: "routes[].tls",
        kind: Kind::Choice(&["none", "may", "require", "verify"]),
        default: "verify for a server by name, may for one by IP address and for mx",
        help: "Encryption: never, if offered, always, or always and only with a certificate that \
               is right.",
        example: r#""verify""#,
    },
    Setting {
        key: "routes[].pins",
        kind: Kind::List {
            of: "sha256/ and the base64 of the server's public key, or the SHA-256 of its \
                 certificate in hex",
            most: limits::PINS,
        },
        default: "none: as tls says",
        help: "The server's certificate must be one of these, whoever signed it, and nothing goes \
               without.",
        example: r#"["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]"#,
    },
    Setting {
        key: "routes[].ip",
        kind: Kind::Text("4, 6, or an IP address of this machine"),
        default: "both",
        help: "Reach the server over IPv4 alone, or IPv6 alone, or from that address of this \
               machine.",
        example: r#""4""#,
    },
    Setting {
        key: "routes[].user",
        kind: Kind::Text("the user name, without control characters"),
        default: "none: no login",
        help: "The user name to log in with at that server.",
        example: r#""me@example.com""#,
    },
    Setting {
        key: "routes[].password",
        kind: PASSWORD,
        default: "none",
        help: "Its password. It moves to secrets.json, which nothing shows again.",
        example: r#""secret""#,
    },
    Setting {
        key: "routes[].token",
        kind: Kind::Secret {
            most: limits::TOKEN_BYTES,
            of: "of letters, digits and -._~+/, with = at the end alone",
        },
        default: "none",
        help: "In place of the password, an OAuth 2 access token. It moves to secrets.json, too.",
        example: r#""ya29.a0AfH6SM""#,
    },
    Setting {
        key: "routes[].oauth",
        kind: Kind::Text(
            "google, microsoft, microsoft/TENANT with a domain or number of that organisation, or \
             a name of the list oauth",
        ),
        default: "none",
        help: "In place of the password: sign in there, once, in a browser (`waypost login`). It \
               is renewed by itself.",
        example: r#""google""#,
    },
    Setting {
        key: "routes[].client_id",
        kind: Kind::Text("1 to 256 visible characters"),
        default: "none",
        help: "What this relay is called there: you register it as a program of yours, and get \
               this.",
        example: r#""1234-abcd.apps.googleusercontent.com""#,
    },
    Setting {
        key: "routes[].client_secret",
        kind: Kind::Secret { most: limits::CLIENT_BYTES, of: "of visible characters" },
        default: "none",
        help: "What you get with that, where you get one (Google gives one). It moves to \
               secrets.json.",
        example: r#""GOCSPX-abcd""#,
    },
    Setting {
        key: "routes[].senders",
        kind: Kind::List {
            of: "an address such as me@example.org, or a whole domain as *@example.org; the first \
                 a whole address",
            most: limits::SEND_AS,
        },
        default: "any sender",
        help: "Senders that the server takes. All other mail is sent from the first of them; who \
               it was from stays readable.",
        example: r#"["me@example.org"]"#,
    },
    Setting {
        key: "routes[].per_minute",
        kind: Kind::Number { min: 1, max: limits::PACE_MAX },
        default: "no bound",
        help: "Most messages in a minute. What is over that waits its turn, and delays nothing \
               else.",
        example: "30",
    },
    Setting {
        key: "routes[].per_hour",
        kind: Kind::Number { min: 1, max: limits::PACE_MAX },
        default: "no bound",
        help: "Most messages in an hour.",
        example: "100",
    },
    Setting {
        key: "routes[].per_day",
        kind: Kind::Number { min: 1, max: limits::PACE_MAX },
        default: "no bound",
        help: "Most messages in 24 hours; beyond that, the next way helps out where there is \
               one.",
        example: "500",
    },
    Setting {
        key: "routes[].connections",
        kind: Kind::Number { min: 1, max: limits::CONNECTIONS_PER_LANE as u64 },
        default: "1 at first, and more while it takes what comes",
        help: "Most connections at once.",
        example: "1",
    },
    Setting {
        key: "routes[].per_connection",
        kind: Kind::Number { min: 1, max: limits::MESSAGES_PER_CONNECTION as u64 },
        default: "500",
        help: "Most messages over one connection.",
        example: "10",
    },
    Setting {
        key: "routes[].sign",
        kind: Kind::Flag,
        default: "true for mx, false for a server: most providers sign themselves, some refuse \
                  other signatures",
        help: "Sign what goes this way with the keys below.",
        example: "true",
    },
    Setting {
        key: "oauth",
        kind: Kind::Objects { of: "a sign-in service", most: limits::SIGN_IN_SERVICES },
        default: "none: only those that are built in",
        help: "Where else one can sign in by OAuth 2, for routes[].oauth.",
        example: r#"[{ "name": "example", "authorize": "https://login.example.com/auth", "token": "https://login.example.com/token", "scope": "mail.send" }]"#,
    },
    Setting {
        key: "oauth[].name",
        kind: Kind::Text("a name of letters, digits and ._-, that is not google or microsoft"),
        default: "",
        help: "What a route calls it.",
        example: r#""example""#,
    },
    Setting {
        key: "oauth[].authorize",
        kind: Kind::Text(URL),
        default: "",
        help: "Where a person signs in.",
        example: r#""https://login.example.com/auth""#,
    },
    Setting {
        key: "oauth[].token",
        kind: Kind::Text(URL),
        default: "",
        help: "Where tokens are given out.",
        example: r#""https://login.example.com/token""#,
    },
    Setting {
        key: "oauth[].device",
        kind: Kind::Text(URL),
        default: "none",
        help: "Where codes are given out that a person types in elsewhere, if they are.",
        example: r#""https://login.example.com/device""#,
    },
    Setting {
        key: "oauth[].scope",
        kind: Kind::Text("1 to 256 visible characters, words with spaces between"),
        default: "",
        help: "What has to be asked for, so that mail may be sent.",
        example: r#""mail.send offline_access""#,
    },
    Setting {
        key: "signing",
        kind: Kind::Objects { of: "a key", most: limits::SIGNING },
        default: "none: nothing is signed",
        help: "Keys that sign the mail of our own users and devices (DKIM). `waypost dkim make` \
               makes them.",
        example: r#"[{ "domain": "example.org", "selector": "wp202611k3f-rsa" }]"#,
    },
    Setting {
        key: "signing[].domain",
        kind: Kind::Text("a domain such as example.org"),
        default: "",
        help: "Whose mail is signed: what is from this domain, or from one below it.",
        example: r#""example.org""#,
    },
    Setting {
        key: "signing[].selector",
        kind: Kind::Text("1 to 63 of the letters a to z, digits and dashes, no dash at the ends"),
        default: "",
        help: "The key's name in DNS. The key itself is the file keys/DOMAIN.SELECTOR.pem.",
        example: r#""wp202611k3f-rsa""#,
    },
    Setting {
        key: "dns",
        kind: Kind::List {
            of: "the IP address of a name server, with a port or (53) without",
            most: limits::NAME_SERVERS,
        },
        default: "what /etc/resolv.conf says",
        help: "Name servers to ask.",
        example: r#"["127.0.0.1:53"]"#,
    },
    Setting {
        key: "dns_trusted",
        kind: Kind::Flag,
        default: "false",
        help: "They check DNSSEC, and the way to them is safe. One on this machine counts so \
               anyway.",
        example: "true",
    },
    Setting {
        key: "delivery.port",
        kind: Kind::Number { min: 1, max: 65_535 },
        default: "25",
        help: "The port of other domains' mail servers. Anything but 25 is for tests.",
        example: "25",
    },
    Setting {
        key: "delivery.ipv6",
        kind: Kind::Flag,
        default: "true",
        help: "Use IPv6 to reach other servers.",
        example: "false",
    },
    Setting {
        key: "delivery.policies",
        kind: Kind::Flag,
        default: "true",
        help: "Heed how domains want to be reached: MTA-STS, and DANE where DNS is signed.",
        example: "false",
    },
    Setting {
        key: "retry.first",
        kind: Kind::Duration { min: 1, max: DAY },
        default: "1m",
        help: "How long to wait before the second attempt; the wait doubles each time.",
        example: r#""1m""#,
    },
    Setting {
        key: "retry.max",
        kind: Kind::Duration { min: 1, max: 2 * DAY },
        default: "4h",
        help: "The longest wait between two attempts.",
        example: r#""4h""#,
    },
    Setting {
        key: "retry.lifetime",
        kind: Kind::Duration { min: 60, max: 60 * DAY },
        default: "5d",
        help: "When to give up and tell the sender. Time without a line, or with our login \
               refused, does not count.",
        example: r#""5d""#,
    },
    Setting {
        key: "retry.warn_after",
        kind: Kind::Duration { min: 1, max: 60 * DAY },
        default: "4h",
        help: "When to tell the sender, once, that a message is late.",
        example: r#""4h""#,
    },
    Setting {
        key: "limits.message",
        kind: Kind::Size { min: 64 * KIB, max: GIB },
        default: "25M",
        help: "The largest message that is taken.",
        example: r#""25M""#,
    },
    Setting {
        key: "limits.recipients",
        kind: Kind::Number { min: 1, max: 1000 },
        default: "100",
        help: "The most recipients of one message. RFC 5321 wants 100 to be taken.",
        example: "100",
    },
    Setting {
        key: "limits.sessions",
        kind: Kind::Number { min: 1, max: 10_000 },
        default: "64",
        help: "The most connections from clients at once. A quarter is kept for trusted \
               devices and logins.",
        example: "64",
    },
    Setting {
        key: "limits.sessions_per_address",
        kind: Kind::Number { min: 1, max: 10_000 },
        default: "16",
        help: "The most of them from one address.",
        example: "16",
    },
    Setting {
        key: "limits.bad_commands",
        kind: Kind::Number { min: 1, max: 1000 },
        default: "10",
        help: "The errors after which a connection is closed.",
        example: "10",
    },
    Setting {
        key: "limits.login_failures",
        kind: Kind::Number { min: 1, max: 1000 },
        default: "5",
        help: "The failed logins (in ten minutes) after which an address must wait.",
        example: "5",
    },
    Setting {
        key: "limits.spool",
        kind: Kind::Size { min: 4 * MIB, max: 1024 * GIB },
        default: "256M",
        help: "The most room for mail that waits; beyond it, senders are told to come back later.",
        example: r#""256M""#,
    },
    Setting {
        key: "maildir",
        kind: Kind::Text("a path with {user} as one of its directories"),
        default: "mail/{user}",
        help: "Where local mail goes, {user} being the name. Relative paths start at the data \
               directory.",
        example: r#""/var/mail/{user}""#,
    },
    Setting {
        key: "tls.certificate",
        kind: Kind::Text("the path of a PEM file"),
        default: "one is made, signed by itself",
        help: "The certificate and the chain below it. It is read again when the file changes.",
        example: r#""/etc/ssl/relay.pem""#,
    },
    Setting {
        key: "tls.key",
        kind: Kind::Text("the path of a PEM file"),
        default: "one is made",
        help: "The certificate's private key.",
        example: r#""/etc/ssl/relay.key""#,
    },
    Setting {
        key: "tls.authorities",
        kind: Kind::Text("the path of a PEM file"),
        default: "none: those that browsers know, which are built in",
        help: "Further authorities to believe when a server's certificate is verified, such as \
               your own.",
        example: r#""/etc/ssl/certs/ca-certificates.crt""#,
    },
    Setting {
        key: "admin.password",
        kind: PASSWORD,
        default: "none: the page asks for the code that is printed at the start",
        help: "The page's password. Written in clear here, it is replaced by its argon2id hash at \
               once.",
        example: r#""a long one""#,
    },
    Setting {
        key: "tokens",
        kind: Kind::Objects { of: "a token", most: limits::TOKENS },
        default: "none",
        help: "Programs that may use the API of the page, such as Home Assistant. The page makes \
               them.",
        example: r#"[{ "name": "home-assistant", "scope": "read", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }]"#,
    },
    Setting {
        key: "tokens[].name",
        kind: Kind::Text("1 to 64 characters"),
        default: "",
        help: "What you call it.",
        example: r#""home-assistant""#,
    },
    Setting {
        key: "tokens[].scope",
        kind: Kind::Choice(&["read", "queue", "all"]),
        default: "read",
        help: "Look; or also try, hold and drop what waits, and send tests; or all.",
        example: r#""queue""#,
    },
    Setting {
        key: "tokens[].sha256",
        kind: Kind::Text("the SHA-256 of the token, 64 digits in hexadecimal"),
        default: "",
        help: "What the token is known by; it is itself nowhere kept.",
        example: r#""e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#,
    },
];
