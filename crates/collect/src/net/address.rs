//! To which addresses may a connection go?

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Why an address is not of the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// "This network": 0.0.0.0/8 and `::`.
    Unspecified,
    /// This machine.
    Loopback,
    /// RFC 1918 and IPv6 unique local.
    Private,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// A cloud's metadata service, which hands out credentials.
    Metadata,
    /// Between a provider and its customers, 100.64.0.0/10.
    CarrierNat,
    /// Many receivers, or all.
    Multicast,
    /// Written in books and used in measurements.
    Documentation,
    /// Reserved, or never given out.
    Reserved,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AddressKind::Unspecified => "unspecified",
            AddressKind::Loopback => "loopback",
            AddressKind::Private => "private",
            AddressKind::LinkLocal => "link-local",
            AddressKind::Metadata => "metadata service",
            AddressKind::CarrierNat => "carrier NAT",
            AddressKind::Multicast => "multicast",
            AddressKind::Documentation => "documentation",
            AddressKind::Reserved => "reserved",
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(a: u16, b: u16, c: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

/// IANA's special-purpose registry for IPv4, and two metadata services; the first match counts.
const FORBIDDEN_V4: [(Ipv4Addr, u8, AddressKind); 18] = [
    (v4(169, 254, 169, 254), 32, AddressKind::Metadata),
    (v4(168, 63, 129, 16), 32, AddressKind::Metadata), // Azure's, although a public address
    (v4(0, 0, 0, 0), 8, AddressKind::Unspecified),
    (v4(10, 0, 0, 0), 8, AddressKind::Private),
    (v4(100, 64, 0, 0), 10, AddressKind::CarrierNat),
    (v4(127, 0, 0, 0), 8, AddressKind::Loopback),
    (v4(169, 254, 0, 0), 16, AddressKind::LinkLocal),
    (v4(172, 16, 0, 0), 12, AddressKind::Private),
    (v4(192, 0, 0, 0), 24, AddressKind::Reserved),
    (v4(192, 0, 2, 0), 24, AddressKind::Documentation),
    (v4(192, 88, 99, 0), 24, AddressKind::Reserved),
    (v4(192, 168, 0, 0), 16, AddressKind::Private),
    (v4(198, 18, 0, 0), 15, AddressKind::Documentation),
    (v4(198, 51, 100, 0), 24, AddressKind::Documentation),
    (v4(203, 0, 113, 0), 24, AddressKind::Documentation),
    (v4(224, 0, 0, 0), 4, AddressKind::Multicast),
    (v4(255, 255, 255, 255), 32, AddressKind::Multicast),
    (v4(240, 0, 0, 0), 4, AddressKind::Reserved),
];

/// The same for IPv6, inside and outside the global 2000::/3.
const FORBIDDEN_V6: [(Ipv6Addr, u8, AddressKind); 11] = [
    (Ipv6Addr::UNSPECIFIED, 128, AddressKind::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, AddressKind::Loopback),
    (v6(0x64, 0xff9b, 1), 48, AddressKind::Private), // a network's own NAT64
    (v6(0xfc00, 0, 0), 7, AddressKind::Private),
    (v6(0xfe80, 0, 0), 10, AddressKind::LinkLocal),
    (v6(0xfec0, 0, 0), 10, AddressKind::Private), // site-local, given up in 2004
    (v6(0xff00, 0, 0), 8, AddressKind::Multicast),
    (v6(0x2001, 0xdb8, 0), 32, AddressKind::Documentation),
    (v6(0x3fff, 0, 0), 20, AddressKind::Documentation),
    (v6(0x2001, 2, 0), 48, AddressKind::Documentation),
    (v6(0x100, 0, 0), 64, AddressKind::Reserved),
];

/// What speaks against an address; `None` for one of the public internet.
///
/// ```
/// use affectory_collect::{AddressKind, address_kind};
/// assert_eq!(address_kind("::ffff:10.0.0.1".parse()?), Some(AddressKind::Private));
/// assert_eq!(address_kind("1.1.1.1".parse()?), None);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn address_kind(address: IpAddr) -> Option<AddressKind> {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> Option<AddressKind> {
    FORBIDDEN_V4
        .iter()
        .find(|(network, length, _)| shares_prefix(network.to_bits().into(), address.to_bits().into(), 96 + length))
        .map(|(_, _, kind)| *kind)
}

fn kind_v6(address: Ipv6Addr) -> Option<AddressKind> {
    let inside = |network: Ipv6Addr, length| shares_prefix(network.to_bits(), address.to_bits(), length);
    let listed = FORBIDDEN_V6.iter().find(|(network, length, _)| inside(*network, *length));
    if let Some((_, _, kind)) = listed {
        return Some(*kind);
    }
    let last = Ipv4Addr::from_bits(address.to_bits() as u32);
    let from = |shift: u32| Ipv4Addr::from_bits((address.to_bits() >> shift) as u32);
    if inside(v6(0x64, 0xff9b, 0), 96) || address.to_ipv4_mapped().is_some() {
        return kind_v4(last);
    }
    if inside(v6(0x2002, 0, 0), 16) {
        return kind_v4(from(80)); // 6to4: the address of the router
    }
    if inside(v6(0x2001, 0, 0), 32) {
        // Teredo: the server, and the client with its bits turned over
        return kind_v4(from(64)).or_else(|| kind_v4(Ipv4Addr::from_bits(!last.to_bits())));
    }
    if inside(Ipv6Addr::UNSPECIFIED, 96) || inside(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96) {
        return kind_v4(last).or(Some(AddressKind::Reserved)); // IPv4-compatible and translated: given up
    }
    let given_out = inside(v6(0x2000, 0, 0), 3) && !inside(v6(0x2001, 0, 0), 23);
    (!given_out).then_some(AddressKind::Reserved)
}

fn shares_prefix(one: u128, other: u128, length: u8) -> bool {
    (one ^ other).checked_shr(128 - u32::from(length)).unwrap_or(0) == 0
}

/// A network, written `127.0.0.0/8`; without a length it is one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// The network of an address and a prefix length in bits; `None` if the length is more than the address has.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (length <= most).then_some(Self { address, length })
    }

    /// The networks that every address lies in.
    pub fn everything() -> Vec<Network> {
        let (any_v4, any_v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        vec![Network { address: any_v4, length: 0 }, Network { address: any_v6, length: 0 }]
    }

    /// Whether the address, or the IPv4 address mapped into it, lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                shares_prefix(network.to_bits().into(), address.to_bits().into(), 96 + self.length)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                shares_prefix(network.to_bits(), address.to_bits(), self.length)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// A network that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network such as 127.0.0.0/8")]
pub struct BadNetwork(String);

impl TryFrom<String> for Network {
    type Error = BadNetwork;

    fn try_from(text: String) -> Result<Self, BadNetwork> {
        text.parse()
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.chars().take(60).collect());
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(whole), str::parse).map_err(|_| bad())?;
        Network::new(address, length).ok_or_else(bad)
    }
}

/// Says why an address may not be connected to; networks in `open` are allowed whatever they are.
///
/// # Errors
/// The kind of a forbidden address.
pub(crate) fn check_address(address: IpAddr, open: &[Network]) -> Result<(), AddressKind> {
    match address_kind(address) {
        Some(kind) if !open.iter().any(|network| network.contains(address)) => Err(kind),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<AddressKind> {
        address_kind(text.parse().unwrap())
    }

    #[test]
    fn forbidden_addresses_are_known_in_every_form() {
        use AddressKind::*;
        for (text, expected) in [
            ("0.0.0.0", Unspecified),
            ("0.1.2.3", Unspecified),
            ("10.255.255.255", Private),
            ("100.64.0.1", CarrierNat),
            ("100.100.100.200", CarrierNat),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("169.254.0.1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("168.63.129.16", Metadata),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.0.0.192", Reserved),
            ("192.0.2.1", Documentation),
            ("192.88.99.1", Reserved),
            ("192.168.1.1", Private),
            ("198.18.0.1", Documentation),
            ("198.19.255.255", Documentation),
            ("198.51.100.7", Documentation),
            ("203.0.113.7", Documentation),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Multicast),
            ("::", Unspecified),
            ("::1", Loopback),
            ("fc00::1", Private),
            ("fd00:ec2::254", Private),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Multicast),
            ("2001:db8::1", Documentation),
            ("3fff::1", Documentation),
            ("2001:2::1", Documentation),
            ("100::1", Reserved),
            ("2001:10::1", Reserved),
            ("2001:20::1", Reserved),
            ("4000::1", Reserved),
            ("5f00::1", Reserved),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", Metadata),
            ("::127.0.0.1", Loopback),
            ("::8.8.8.8", Reserved),
            ("::ffff:0:10.0.0.1", Private),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::169.254.169.254", Metadata),
            ("64:ff9b:1::8.8.8.8", Private),
            ("2002:7f00:1::", Loopback),
            ("2002:a9fe:a9fe::1", Metadata),
            ("2002:c0a8:101::", Private),
            // Teredo: server 10.0.0.1; then server 8.8.8.8 with client 127.0.0.1 (bits turned over: 80ff:fffe)
            ("2001:0:a00:1::", Private),
            ("2001:0:808:808::80ff:fffe", Loopback),
        ] {
            assert_eq!(kind(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_free() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.0.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert_eq!(kind(text), None, "{text}");
        }
    }

    #[test]
    fn a_network_opens_what_it_contains_and_nothing_else() {
        let open: Vec<Network> = ["127.0.0.1/32", "fd00::/8"].map(|text| text.parse().unwrap()).to_vec();
        let check = |text: &str| check_address(text.parse().unwrap(), &open);
        assert_eq!(check("127.0.0.1"), Ok(()));
        assert_eq!(check("::ffff:127.0.0.1"), Ok(()));
        assert_eq!(check("fd12::1"), Ok(()));
        assert_eq!(check("127.0.0.2"), Err(AddressKind::Loopback));
        assert_eq!(check("::1"), Err(AddressKind::Loopback));
        assert_eq!(check("64:ff9b::127.0.0.1"), Err(AddressKind::Loopback));
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("10.0.0.1".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
        for bad in ["", "127.0.0.1/33", "::1/129", "127.0.0.1/", "localhost", "1.2.3/8"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_address_with_a_forbidden_one_inside_is_forbidden() {
        arbtest::arbtest(|u| {
            let inner = Ipv4Addr::from_bits(u.arbitrary()?);
            let [a, b, c, d] = inner.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for outer in [
                inner.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 0),
            ] {
                assert_eq!(address_kind(outer.into()), kind_v4(inner), "{outer}");
            }
            Ok(())
        });
    }
}
