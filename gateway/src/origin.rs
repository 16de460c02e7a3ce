//! Where a client is.
//!
//! Invariant: what a client says of its own address counts nothing; a hop is believed of the one before it only where the
//! hop itself is a proxy that the configuration names. Addresses are personal data: they go to the services, for throttling
//! and the audit log, and into no log and no metric.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::HeaderName;
use ipnet::IpNet;
use petty_chassis::config::Reader;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// No chain of proxies is longer; what comes before is not looked at.
const MOST_HOPS: usize = 32;

/// Whom a connection comes from. An extension of every request that came over one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The other end's address.
    pub(crate) address: IpAddr,
    /// Whether it came over TLS of ours.
    pub(crate) is_secure: bool,
}

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads `PETTY_TRUSTED_PROXIES`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        const NAME: &str = "PETTY_TRUSTED_PROXIES";
        let mut networks = Vec::new();
        for item in reader.list(NAME) {
            match network(&item) {
                Some(network) => networks.push(network),
                None => reader
                    .fault(NAME, format!("{item:?} is neither a network nor an address, e.g. 10.0.0.0/8")),
            }
        }
        Self(networks)
    }

    /// Of this network.
    #[must_use]
    pub fn of(network: IpNet) -> Self {
        Self(vec![network])
    }

    /// The client of a request that came from `peer`: the right-most hop that is no proxy of ours. Where a hop cannot be read,
    /// the proxy that wrote it down is as far as is known.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        // Lines and their parts are one list, in order; the last was written by the peer.
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        for hop in hops.take(MOST_HOPS) {
            if !self.contain(client) {
                break;
            }
            let Some(address) = address(hop) else { break };
            client = address;
        }
        client
    }

    /// Whether the client itself came over TLS: to us, or to a proxy of ours that says so.
    pub(crate) fn is_secure(&self, origin: Origin, headers: &HeaderMap) -> bool {
        origin.is_secure
            || (self.contain(origin.address.to_canonical())
                && headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https"))
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Whether a request comes from this machine itself, and says of nobody else that it came from there.
pub(crate) fn is_local(client: IpAddr, headers: &HeaderMap) -> bool {
    client.to_canonical().is_loopback() && !headers.contains_key(FORWARDED_FOR)
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// A hop's address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use petty_chassis::config::{Environment, Faults, load};

    use super::*;
    use crate::config::GatewayConfig;

    fn proxies(text: &str) -> Result<TrustedProxies, Faults> {
        let environment = Environment::from_iter([("PETTY_TRUSTED_PROXIES", text.to_owned())]);
        load::<GatewayConfig>(&environment).map(|config| config.proxies)
    }

    #[test]
    fn a_hop_is_believed_only_of_a_proxy_that_is_named() {
        for (trusted, peer, lines, client) in [
            // Nobody is named: what a header says counts nothing.
            ("", "192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.0/8", "192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.0/8", "10.1.2.3", &[], "10.1.2.3"),
            ("10.0.0.0/8", "10.1.2.3", &["198.51.100.7"], "198.51.100.7"),
            // What the client wrote itself stands to the left.
            ("10.0.0.0/8", "10.1.2.3", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.0/8", "10.1.2.3", &["10.9.9.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.0/8", "10.1.2.3", &["203.0.113.9", "198.51.100.7, 10.7.7.7"], "198.51.100.7"),
            // All are proxies: the first of them.
            ("10.0.0.0/8", "10.1.2.3", &["10.4.4.4,10.5.5.5"], "10.4.4.4"),
            // What cannot be read ends the chain.
            ("10.0.0.0/8", "10.1.2.3", &["198.51.100.7, unknown"], "10.1.2.3"),
            ("10.0.0.0/8", "10.1.2.3", &["198.51.100.7, _hidden, 10.7.7.7"], "10.7.7.7"),
            ("10.0.0.0/8", "10.1.2.3", &["198.51.100.7,"], "10.1.2.3"),
            // Ports, IPv6, and IPv4 within it.
            ("10.1.2.3", "10.1.2.3", &["198.51.100.7:4711"], "198.51.100.7"),
            ("fd00::/8", "fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("fd00::/8", "fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("fd00::/8", "fd00::1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", &["::ffff:198.51.100.7"], "198.51.100.7"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
            }
            let found = proxies(trusted).unwrap().client(peer.parse().unwrap(), &headers);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{trusted:?} {peer} {lines:?}");
        }
    }

    #[test]
    fn a_chain_without_end_is_not_followed() {
        let mut headers = HeaderMap::new();
        let line = format!("198.51.100.7{}", ",10.0.0.1".repeat(1_000));
        headers.append(FORWARDED_FOR, HeaderValue::try_from(line).unwrap());
        let client = proxies("10.0.0.0/8").unwrap().client("10.0.0.2".parse().unwrap(), &headers);
        assert_eq!(client.to_string(), "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_named_as_a_fault() {
        for text in ["10.0.0.0/33", "proxy.example", "10.0.0.0/8, -"] {
            let faults = proxies(text).unwrap_err();
            assert!(faults.iter().any(|fault| fault.starts_with("PETTY_TRUSTED_PROXIES")), "{faults:?}");
        }
        assert_eq!(proxies("10.0.0.0/8, 192.0.2.1,fd00::/8").unwrap().0.len(), 3);
    }
}
