//! What DNS has of a name, as it is: no hosts file, no order, no names of ours.

use super::{Data, Known, Resolver, Trouble, is_address, unanswered, usable};
use crate::proto::dns::{self, Kind, Question, Tlsa};
use std::{net::IpAddr, rc::Rc};

impl Resolver {
    /// The certificates of the service at a port of `host`, where DNS vouches for them; none where
    /// it does not, or where there are none. RFC 7672 §2.2.
    ///
    /// Where the addresses of the host are not signed, they are not asked for: many a name server
    /// of such a zone does not answer such questions.
    ///
    /// # Errors
    /// The host's addresses are signed, but nobody would say: whoever keeps the answer away may
    /// want us to do without.
    pub async fn certificates(&self, host: &str, port: u16) -> Result<Vec<Tlsa>, Trouble> {
        if !self.has_trusted() || is_address(host) {
            return Ok(Vec::new());
        }
        let Some(host) = dns::ascii_name(host) else { return Ok(Vec::new()) };
        if !self.hosts.borrow().addresses(&host).is_empty() {
            return Ok(Vec::new());
        }
        let ask = |kind| Question { name: host.clone(), kind };
        let mut addresses = self.lookup(&ask(Kind::A)).await;
        if !matches!(addresses.known, Known::Records(_)) {
            addresses = self.lookup(&ask(Kind::Aaaa)).await;
        }
        if !addresses.authentic {
            return Ok(Vec::new());
        }
        let (records, authentic) =
            self.records(&format!("_{port}._tcp.{host}"), Kind::Tlsa).await?;
        let tlsa = records.iter().filter_map(|record| match record {
            Data::Tlsa(tlsa) => Some(tlsa.clone()),
            _ => None,
        });
        Ok(tlsa.filter(|_| authentic).collect())
    }

    /// Is what the name servers deny of a domain denied of all the world? So does a captive portal,
    /// and a router whose line is down: nothing that is missing means anything then.
    pub async fn denies_everything(&self, domain: &str) -> bool {
        let Some(name) = dns::ascii_name(domain) else { return false };
        let reply = self.lookup(&Question { name, kind: Kind::Mx }).await;
        matches!(reply.known, Known::Unvouched(_)) && !self.is_truthful().await
    }

    /// Is there a name server that is believed what it says of signatures?
    pub fn has_trusted(&self) -> bool {
        self.servers.borrow().iter().any(|server| server.trusted)
    }

    /// The texts of a name; none where there are none.
    ///
    /// # Errors
    /// Nobody would say.
    pub async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, Trouble> {
        let (records, _) = self.records(name, Kind::Txt).await?;
        let texts = records.iter().filter_map(|record| match record {
            Data::Txt(text) => Some(text.clone()),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The mail servers of a domain with their preference, the best first; none where it has none.
    ///
    /// # Errors
    /// Nobody would say.
    pub async fn mail_hosts(&self, domain: &str) -> Result<Vec<(u16, String)>, Trouble> {
        let (records, _) = self.records(domain, Kind::Mx).await?;
        let hosts = records.iter().filter_map(|record| match record {
            Data::Mx(preference, host) => Some((*preference, host.clone())),
            _ => None,
        });
        let mut hosts: Vec<(u16, String)> = hosts.collect();
        hosts.sort();
        Ok(hosts)
    }

    /// The IPv6 addresses of a host, or else the IPv4 addresses; none where it has none.
    ///
    /// # Errors
    /// Nobody would say.
    pub async fn addresses_of(&self, host: &str, ipv6: bool) -> Result<Vec<IpAddr>, Trouble> {
        let kind = if ipv6 { Kind::Aaaa } else { Kind::A };
        let (records, _) = self.records(host, kind).await?;
        Ok(records.iter().filter_map(usable).collect())
    }

    /// The names of an address; none where it has none.
    ///
    /// # Errors
    /// Nobody would say.
    pub async fn names_of(&self, address: IpAddr) -> Result<Vec<String>, Trouble> {
        let (records, _) = self.records(&dns::reverse_name(address), Kind::Ptr).await?;
        let names = records.iter().filter_map(|record| match record {
            Data::Ptr(name) => Some(name.clone()),
            _ => None,
        });
        Ok(names.collect())
    }

    /// With whether their signatures were checked.
    async fn records(&self, name: &str, kind: Kind) -> Result<(Rc<[Data]>, bool), Trouble> {
        let Some(name) = dns::ascii_name(name) else { return Ok((Rc::default(), false)) };
        let reply = self.lookup(&Question { name: name.clone(), kind }).await;
        match reply.known {
            Known::Records(records) => Ok((records, reply.authentic)),
            Known::Failed(why) => Err(unanswered(&name, &why)),
            Known::NoData | Known::NoName | Known::Unvouched(_) => Ok((Rc::default(), false)),
        }
    }
}
