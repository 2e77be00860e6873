//! Addresses that something is bound to: pure.

use crate::error::{Error, Result};
use ipnet::IpNet;
use std::net::IpAddr;

/// Reads `10.0.0.0/8`, or a bare address as the network of that one host. Host bits are dropped: PostgreSQL's `cidr` has none.
pub(crate) fn parse(text: &str) -> Result<IpNet> {
    let text = text.trim();
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => {
            let address: IpAddr = text.parse().map_err(|_| {
                Error::invalid(format!("{text:?} is neither an address nor a network in CIDR notation (10.0.0.0/8)"))
            })?;
            IpNet::from(address)
        }
    };
    Ok(network.trunc())
}

/// Reads a list.
pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<IpNet>> {
    texts.iter().map(|text| parse(text)).collect()
}

/// Whether `source` is in one of `networks`; none: any address will do. An IPv4 address may come in IPv6's clothes.
pub(crate) fn permits(networks: &[IpNet], source: Option<IpAddr>) -> bool {
    if networks.is_empty() {
        return true;
    }
    let source = source.map(|source| source.to_canonical());
    source.is_some_and(|source| networks.iter().any(|network| network.contains(&source)))
}

/// Whether every address of `inner` is in one network of `outer`; an empty `outer` bounds nothing.
pub(crate) fn is_subset(inner: &[IpNet], outer: &[IpNet]) -> bool {
    outer.is_empty() || inner.iter().all(|network| outer.iter().any(|bound| bound.contains(network)))
}

/// As answers show it: one host without its mask.
pub(crate) fn shown(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() { network.addr().to_string() } else { network.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks_and_bare_addresses_are_read_and_nothing_else() {
        for (text, network) in [
            ("127.0.0.1", "127.0.0.1/32"),
            (" 10.1.2.3/8 ", "10.0.0.0/8"),
            ("::1", "::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(parse(text).expect(text).to_string(), network);
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "localhost", "10.0.0.0/8/8"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(shown(&parse("127.0.0.1/32").expect("a host")), "127.0.0.1");
        assert_eq!(shown(&parse("127.0.0.0/8").expect("a network")), "127.0.0.0/8");
    }

    #[test]
    fn an_address_in_ipv6_clothes_is_the_ipv4_address() {
        let networks = [parse("127.0.0.0/8").expect("a network")];
        assert!(permits(&networks, Some("::ffff:127.0.0.1".parse().expect("an address"))));
        assert!(!permits(&networks, Some("::1".parse().expect("an address"))));
        assert!(!permits(&networks, None));
        assert!(permits(&[], None));
    }

    proptest! {
        #[test]
        fn a_network_holds_exactly_the_addresses_with_its_first_bits(network in any::<u32>(), bits in 0u8..=32, address in any::<u32>()) {
            let bound = parse(&format!("{}/{bits}", std::net::Ipv4Addr::from(network))).expect("a network");
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            let source = IpAddr::from(std::net::Ipv4Addr::from(address));
            prop_assert_eq!(permits(&[bound], Some(source)), network & mask == address & mask);
        }

        #[test]
        fn what_a_subset_permits_its_bound_permits(inner in any::<u32>(), inner_bits in 0u8..=32, outer in any::<u32>(), outer_bits in 0u8..=32, host in any::<u32>()) {
            let net = |address: u32, bits: u8| parse(&format!("{}/{bits}", std::net::Ipv4Addr::from(address))).expect("a network");
            let (inner, outer) = (net(inner, inner_bits), net(outer, outer_bits));
            let source = Some(IpAddr::from(std::net::Ipv4Addr::from(host)));
            if is_subset(&[inner], &[outer]) && permits(&[inner], source) {
                prop_assert!(permits(&[outer], source));
            }
            prop_assert!(is_subset(&[inner], &[]));
        }
    }
}
