//! Which peers are believed about where a request came from.

use std::net::IpAddr;

/// Addresses and networks in CIDR notation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustList(Vec<Network>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl TrustList {
    /// Reads networks: `10.0.0.0/8`, `::1`, `192.168.1.7`.
    ///
    /// # Errors
    /// The index of the first that is none.
    pub(crate) fn parse<'a>(networks: impl Iterator<Item = &'a str>) -> Result<Self, usize> {
        let read = networks
            .enumerate()
            .map(|(index, text)| network(text).ok_or(index));
        read.collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address is in one of the networks. An IPv4 address in IPv6 clothing counts as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix_bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix_bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

fn network(text: &str) -> Option<Network> {
    let (address, bits) = text
        .split_once('/')
        .map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix_bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
    (prefix_bits <= most).then_some(Network { address, prefix_bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let list =
            TrustList::parse(["10.0.0.0/8", "::1", "2001:db8::/32", "192.168.1.7"].into_iter()).unwrap();
        for (address, inside) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("::1", true),
            ("::2", false),
            ("2001:db8:1::1", true),
            ("::ffff:10.1.1.1", true),
            ("192.168.1.7", true),
            ("192.168.1.8", false),
        ] {
            assert_eq!(list.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert_eq!(TrustList::parse(["10.0.0.0/33"].into_iter()), Err(0));
        assert_eq!(TrustList::parse(["::/0", "x"].into_iter()), Err(1));
        assert!(
            TrustList::parse(["0.0.0.0/0"].into_iter())
                .unwrap()
                .contains("1.2.3.4".parse().unwrap())
        );
    }
}
