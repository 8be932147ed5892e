//! Answers whose signatures were checked, says the name server.

use super::{
    world::{A, AAAA, Asked, Says, TLSA, World, a, aaaa, cname, soa, tlsa},
    *,
};

const HERE: &str = "127.0.0.53:53";
const HOST: &str = "mx.example";
const NAME: &str = "_25._tcp.mx.example";
const SERVFAIL: u8 = 2;

/// What is said to a question of one kind.
#[derive(Clone, Copy, PartialEq)]
enum Has {
    Signed,
    Unsigned,
    Nothing,
    Trouble,
}

/// A name server that has an IPv4 address, an IPv6 address and a certificate in these ways.
fn zone(four: Has, six: Has, certificate: Has) -> (Rc<World>, Sys) {
    World::new(move |asked: &Asked| {
        let (has, record) = match asked.kind {
            A => (four, a(HOST, 300, [192, 0, 2, 1])),
            AAAA => (six, aaaa(HOST, 300, 1)),
            TLSA => (certificate, tlsa(NAME, 300, 3, &[7; 32])),
            _ => (Has::Nothing, Vec::new()),
        };
        let found = matches!(has, Has::Signed | Has::Unsigned);
        Ok(vec![Says {
            rcode: if has == Has::Trouble { SERVFAIL } else { 0 },
            authentic: matches!(has, Has::Signed | Has::Nothing),
            answers: if found { vec![record] } else { Vec::new() },
            authorities: vec![soa("example", 300, 300)],
            ..Says::default()
        }])
    })
}

fn found((world, sys): &(Rc<World>, Sys), server: &str, trusted: bool) -> Result<usize, String> {
    let resolver = Resolver::new(sys, Vec::new());
    resolver.set_servers(servers(&[server]), trusted);
    let found = world.run(resolver.certificates(HOST, 25));
    assert_eq!(world.run(resolver.certificates(HOST, 25)), found, "and again");
    found.map(|found| found.len()).map_err(|trouble| status(&trouble))
}

fn asked(world: &World, kind: u16) -> usize {
    world.asked.borrow().iter().filter(|asked| asked.kind == kind).count()
}

#[test]
fn certificates_count_where_the_whole_way_to_them_is_signed() {
    use Has::{Nothing, Signed, Trouble, Unsigned};
    for (four, six, certificate, expected, questions) in [
        (Signed, Nothing, Signed, Ok(1), 1),
        (Nothing, Signed, Signed, Ok(1), 1),
        (Signed, Unsigned, Signed, Ok(1), 1),
        (Signed, Nothing, Unsigned, Ok(0), 1),
        (Signed, Nothing, Nothing, Ok(0), 1),
        // A zone that is not signed is left in peace.
        (Unsigned, Signed, Signed, Ok(0), 0),
        (Unsigned, Nothing, Trouble, Ok(0), 0),
        (Nothing, Unsigned, Trouble, Ok(0), 0),
        (Nothing, Nothing, Nothing, Ok(0), 1),
        // Whoever keeps an answer away must not win by that.
        (Signed, Nothing, Trouble, Err("4.4.3".to_string()), 2),
    ] {
        let world = zone(four, six, certificate);
        assert_eq!(found(&world, HERE, false), expected);
        let times = asked(&world.0, TLSA);
        assert!(times >= questions.min(1) && (questions > 0 || times == 0), "{times}");
        assert!(world.0.asked.borrow().iter().all(|asked| asked.has_ad));
    }
}

#[test]
fn only_a_name_server_here_or_one_that_is_trusted_is_believed_what_it_says_of_signatures() {
    for (server, trusted, believed) in
        [(HERE, false, true), ("[::1]:53", false, true), (FIRST, false, false), (FIRST, true, true)]
    {
        let world = zone(Has::Signed, Has::Nothing, Has::Signed);
        assert_eq!(found(&world, server, trusted), Ok(usize::from(believed)), "{server}");
        assert_eq!(world.0.asked.borrow().iter().any(|asked| asked.has_ad), believed, "{server}");
        assert_eq!(world.0.count() > 0, believed, "nobody is asked in vain: {server}");
    }
    // The second server is believed, the first is not: what counts is who has answered.
    for (silent, believed) in [(FIRST, 1), (HERE, 0)] {
        let (world, sys) = World::new(move |asked: &Asked| {
            let record = match asked.kind {
                A => a(HOST, 300, [192, 0, 2, 1]),
                TLSA => tlsa(NAME, 300, 3, &[7; 32]),
                _ => return Ok(vec![]),
            };
            let says = Says { authentic: true, answers: vec![record], ..Says::default() };
            let answers = asked.server.to_string() != silent;
            Ok(if answers { vec![says] } else { vec![] })
        });
        let resolver = Resolver::new(&sys, servers(&[FIRST, HERE]));
        let found = world.run(resolver.certificates(HOST, 25)).expect("somebody answers");
        assert_eq!(found.len(), believed, "{silent} is silent");
    }
}

#[test]
fn an_alias_is_signed_where_each_step_is() {
    for (first, second, expected) in [(true, true, 1), (true, false, 0), (false, true, 0)] {
        let (world, sys) = World::new(move |asked: &Asked| {
            let (authentic, record) = match (asked.kind, asked.name.as_str()) {
                (A, HOST) => (first, cname(HOST, 300, "real.example")),
                (A, _) => (second, a("real.example", 300, [192, 0, 2, 1])),
                _ => (true, tlsa(NAME, 300, 3, &[7; 32])),
            };
            Ok(vec![Says { authentic, answers: vec![record], ..Says::default() }])
        });
        assert_eq!(found(&(world, sys), HERE, false), Ok(expected), "{first} {second}");
    }
}

#[test]
fn what_is_no_name_in_dns_has_no_certificates_there() {
    let (world, sys) = zone(Has::Signed, Has::Signed, Has::Signed);
    let resolver = Resolver::new(&sys, servers(&[HERE]));
    resolver.set_hosts("192.0.2.9 here.example\n");
    for host in ["192.0.2.1", "2001:db8::1", "here.example", "localhost", "no name"] {
        assert_eq!(world.run(resolver.certificates(host, 25)), Ok(Vec::new()), "{host}");
    }
    assert_eq!(world.count(), 0);
}

#[test]
fn texts_are_told_from_none_and_from_trouble() {
    const TXT: u16 = 16;
    for (rcode, expected) in [(0, Ok(0)), (NXDOMAIN, Ok(0)), (REFUSED, Err("4.4.3".into()))] {
        let (world, sys) = World::new(move |_: &Asked| Ok(vec![fails(rcode)]));
        let heard = world.run(resolver(&sys).texts("_x.example"));
        assert_eq!(heard.map(|texts| texts.len()).map_err(|trouble| status(&trouble)), expected);
        assert_eq!(world.asked.borrow()[0].kind, TXT);
    }
}
