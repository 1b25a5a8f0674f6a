//! Which name of a certificate counts.

use super::certificate::ClientCertificate;
use super::name::CertName;
use super::pattern::NamePattern;
use super::spiffe::SpiffeId;
use crate::detail::Cause;

/// What of a certificate names its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The URI in `subjectAltName`.
    SanUri,
    /// The DNS name there.
    SanDns,
    /// `CN` of the subject.
    Cn,
    /// The SHA-256 of the certificate.
    Fingerprint,
}

impl Kind {
    /// The kind of this name in the configuration.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "san_uri" => Self::SanUri,
            "san_dns" => Self::SanDns,
            "cn" => Self::Cn,
            "fingerprint" => Self::Fingerprint,
            _ => return None,
        })
    }
}

/// Which name counts, and which are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertRule {
    /// What names the owner.
    pub kind: Kind,
    /// One of them must fit; empty: any name.
    pub patterns: Vec<NamePattern>,
    /// Names are SPIFFE IDs of these trust domains; empty: of any, or other URIs.
    pub trust_domains: Vec<Box<str>>,
}

impl CertRule {
    /// The one name of `certificate` that counts.
    ///
    /// # Errors
    ///
    /// [`Cause::CertWithoutName`], [`Cause::CertAmbiguous`] where several would count,
    /// [`Cause::CertNameUnusable`] where what is there can't be a name, [`Cause::CertNameRefused`] where it
    /// fits no pattern.
    pub fn name(&self, certificate: &ClientCertificate) -> Result<CertName, Cause> {
        match self.kind {
            // Even two that are the same: X509-SVID section 5.2.
            Kind::SanUri => match certificate.uris.as_slice() {
                [] => Err(Cause::CertWithoutName),
                [uri] => self.uri(uri, certificate),
                _ => Err(Cause::CertAmbiguous),
            },
            Kind::SanDns => self.host(certificate),
            Kind::Cn => match certificate.common_names.as_slice() {
                [] => Err(Cause::CertWithoutName),
                [name] => {
                    let found = CertName::common_name(name).ok_or(Cause::CertNameUnusable)?;
                    self.fits(name).then_some(found).ok_or(Cause::CertNameRefused)
                }
                _ => Err(Cause::CertAmbiguous),
            },
            Kind::Fingerprint => {
                let thumbprint = certificate.thumbprint().ok_or(Cause::CertWithoutName)?;
                Ok(CertName::fingerprint(thumbprint))
            }
        }
    }

    fn uri(&self, uri: &str, certificate: &ClientCertificate) -> Result<CertName, Cause> {
        let name = CertName::uri(uri).ok_or(Cause::CertNameUnusable)?;
        let id = SpiffeId::parse(uri);
        // What signs certificates names no workload: X509-SVID section 5.2.
        if id.is_some() && certificate.signs {
            return Err(Cause::CertNameUnusable);
        }
        let is_ours =
            |id: SpiffeId<'_>| self.trust_domains.iter().any(|domain| **domain == *id.domain());
        let is_accepted = self.trust_domains.is_empty() || id.is_some_and(is_ours);
        (is_accepted && self.fits(uri)).then_some(name).ok_or(Cause::CertNameRefused)
    }

    /// Certificates often have several names of hosts; just one of them may count.
    fn host(&self, certificate: &ClientCertificate) -> Result<CertName, Cause> {
        if certificate.dns.is_empty() {
            return Err(Cause::CertWithoutName);
        }
        let hosts = certificate.dns.iter().filter_map(|name| {
            let host = name.to_ascii_lowercase();
            CertName::dns(&host).map(|name| (host, name))
        });
        let mut hosts = hosts.peekable();
        hosts.peek().ok_or(Cause::CertNameUnusable)?;
        let mut accepted = hosts.filter(|(host, _)| self.fits(host)).map(|(_, name)| name);
        let first = accepted.next().ok_or(Cause::CertNameRefused)?;
        accepted.all(|other| other == first).then_some(first).ok_or(Cause::CertAmbiguous)
    }

    fn fits(&self, name: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: Kind, patterns: &[&str], trust_domains: &[&str]) -> CertRule {
        CertRule {
            kind,
            patterns: patterns.iter().map(|text| NamePattern::parse(kind, text).unwrap()).collect(),
            trust_domains: trust_domains.iter().map(|name| (*name).into()).collect(),
        }
    }

    fn named(rule: &CertRule, names: &[&str]) -> Result<String, Cause> {
        let names: Vec<Box<str>> = names.iter().map(|name| (*name).into()).collect();
        let mut certificate = ClientCertificate::default();
        match rule.kind {
            Kind::SanUri => certificate.uris = names,
            Kind::SanDns => certificate.dns = names,
            Kind::Cn => certificate.common_names = names,
            Kind::Fingerprint => certificate.thumbprint = Some([0xab; 32]),
        }
        rule.name(&certificate).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn a_kind_has_one_name() {
        for (name, kind) in [
            ("san_uri", Kind::SanUri),
            ("san_dns", Kind::SanDns),
            ("cn", Kind::Cn),
            ("fingerprint", Kind::Fingerprint),
        ] {
            assert_eq!(Kind::from_name(name), Some(kind));
        }
        for name in ["", "CN", "san", "san_uri "] {
            assert_eq!(Kind::from_name(name), None);
        }
    }

    #[test]
    fn a_uri_stands_alone_and_is_of_a_trust_domain() {
        let any = rule(Kind::SanUri, &[], &[]);
        let ours = rule(Kind::SanUri, &[], &["example.org", "example.com"]);
        let id = "spiffe://example.com/ns/prod";
        for rule in [&any, &ours] {
            assert_eq!(named(rule, &[id]), Ok(id.to_owned()));
            assert_eq!(named(rule, &[]), Err(Cause::CertWithoutName));
            assert_eq!(named(rule, &[id, id]), Err(Cause::CertAmbiguous));
            assert_eq!(named(rule, &[id, "https://a/b"]), Err(Cause::CertAmbiguous));
            for odd in
                ["spiffe://example.com", "SPIFFE://example.com/a", "spiffe://example.com/a?b", "x"]
            {
                assert_eq!(named(rule, &[odd]), Err(Cause::CertNameUnusable), "{odd}");
            }
        }
        assert_eq!(named(&any, &["https://a/b"]), Ok("https://a/b".to_owned()));
        for other in ["https://example.com/b", "spiffe://evil/a", "spiffe://x.example.com/a"] {
            assert_eq!(named(&ours, &[other]), Err(Cause::CertNameRefused), "{other}");
        }
        let signs = ClientCertificate {
            uris: vec![id.into()],
            signs: true,
            ..ClientCertificate::default()
        };
        assert_eq!(any.name(&signs), Err(Cause::CertNameUnusable));
    }

    #[test]
    fn both_the_domain_and_the_pattern_must_fit() {
        let rule = rule(
            Kind::SanUri,
            &["spiffe://example.org/ns/*", "spiffe://evil/ns/*"],
            &["example.org"],
        );
        assert!(named(&rule, &["spiffe://example.org/ns/a"]).is_ok());
        for other in ["spiffe://evil/ns/a", "spiffe://example.org/sa/a"] {
            assert_eq!(named(&rule, &[other]), Err(Cause::CertNameRefused), "{other}");
        }
    }

    #[test]
    fn of_hosts_just_one_counts() {
        let any = rule(Kind::SanDns, &[], &[]);
        let ours = rule(Kind::SanDns, &["*.example.org"], &[]);
        assert_eq!(named(&any, &["A.Example.org"]), Ok("dns:a.example.org".to_owned()));
        assert_eq!(
            named(&any, &["a.example.org", "A.example.org"]),
            Ok("dns:a.example.org".to_owned())
        );
        assert_eq!(named(&any, &["a", "b"]), Err(Cause::CertAmbiguous));
        assert_eq!(named(&ours, &["a", "A.example.org"]), Ok("dns:a.example.org".to_owned()));
        assert_eq!(named(&ours, &["a.example.org", "b.example.org"]), Err(Cause::CertAmbiguous));
        assert_eq!(named(&ours, &["a"]), Err(Cause::CertNameRefused));
        assert_eq!(named(&any, &["*.example.org"]), Err(Cause::CertNameUnusable));
        assert_eq!(named(&any, &[]), Err(Cause::CertWithoutName));
    }

    #[test]
    fn common_name_is_one_and_fit_for_a_log() {
        let any = rule(Kind::Cn, &[], &[]);
        assert_eq!(named(&any, &["Batch"]), Ok("cn:Batch".to_owned()));
        assert_eq!(named(&any, &[]), Err(Cause::CertWithoutName));
        assert_eq!(named(&any, &["a", "a"]), Err(Cause::CertAmbiguous));
        assert_eq!(named(&any, &["a\0b"]), Err(Cause::CertNameUnusable));
        assert_eq!(named(&rule(Kind::Cn, &["b*"], &[]), &["a"]), Err(Cause::CertNameRefused));
    }

    #[test]
    fn fingerprint_is_that_of_the_certificate() {
        let any = rule(Kind::Fingerprint, &[], &[]);
        assert_eq!(named(&any, &[]), Ok(format!("sha256:{}", "ab".repeat(32))));
        assert_eq!(any.name(&ClientCertificate::default()), Err(Cause::CertWithoutName));
    }
}
