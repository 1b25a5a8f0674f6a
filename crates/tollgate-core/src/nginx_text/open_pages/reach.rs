//! From where requests come to a server, as its `listen` directives say.

use super::super::text::Directive;

/// The kinds of addresses that clients of a server may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) ipv4: bool,
    pub(super) ipv6: bool,
    /// Some of them come without TLS, so that nobody asks them for a certificate.
    pub(super) plain: bool,
}

impl Reach {
    /// Of a server of `http`.
    pub(super) fn of(http: &[Directive], server: &[Directive]) -> Self {
        let mut reach = Self { ipv4: false, ipv6: false, plain: false };
        let is_tls = [server, http].into_iter().any(|block| {
            block.iter().any(|one| {
                one.name() == "ssl" && one.args().first().is_some_and(|word| word == "on")
            })
        });
        let mut listens = server.iter().filter(|one| one.name() == "listen").peekable();
        if listens.peek().is_none() {
            // Port 80, or 8000, of all addresses.
            reach = Self { ipv4: true, ipv6: false, plain: !is_tls };
        }
        for listen in listens {
            reach.add(listen, is_tls);
        }
        // A proxy says then who comes, and that may be anybody.
        if !reach.is_local() && (is_told(http) || names_proxies(server)) {
            reach = Self { ipv4: true, ipv6: true, ..reach };
        }
        reach
    }

    /// Whether it listens on unix sockets alone. To an address of this machine a proxy before it may bring anybody.
    pub(super) fn is_local(self) -> bool {
        !self.ipv4 && !self.ipv6
    }

    fn add(&mut self, listen: &Directive, is_tls: bool) {
        let Some((address, parameters)) = listen.args().split_first() else { return };
        if address.starts_with("unix:") {
            return;
        }
        let has = |wanted: &str| parameters.iter().any(|word| word == wanted);
        if address.starts_with('[') {
            self.ipv6 = true;
            self.ipv4 |= has("ipv6only=off");
        } else {
            self.ipv4 = true;
            // A name may be one of both.
            self.ipv6 |= address.starts_with(char::is_alphabetic);
        }
        self.plain |= !(is_tls || has("ssl") || has("quic"));
    }
}

fn is_told(block: &[Directive]) -> bool {
    block.iter().any(|one| one.name() == "set_real_ip_from")
}

/// The same, of what is within as well.
fn names_proxies(block: &[Directive]) -> bool {
    is_told(block) || block.iter().any(|one| names_proxies(&one.block))
}
