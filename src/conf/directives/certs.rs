//! What a location may say of client certificates.

use super::words::{error, given, literal, once, word, words, Done};
use crate::conf::settings::{ClientCert, ProxyPeers};
use crate::conf::LocConf;
use nginx::conf::{ConfContext, ConfError};
use tollgate_core::address::Cidr;
use tollgate_core::cert::{is_trust_domain, CertRule, Kind, NamePattern};
use tollgate_core::jwt;

/// `tollgate_client_cert san_uri | san_dns | cn | fingerprint [PATTERN]... [trust_domain=NAME]...
/// [unlisted=deny | default_tier] [client_prefix=TEXT]`
pub(super) fn client_cert(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let kind = Kind::from_name(word(args, 1)).ok_or_else(|| {
        error(format!(
            "invalid name \"{}\" in \"tollgate_client_cert\"; it takes \"san_uri\", \"san_dns\", \"cn\" or \
             \"fingerprint\" first",
            word(args, 1).escape_debug()
        ))
    })?;
    let mut cert = ClientCert {
        rule: CertRule { kind, patterns: Vec::new(), trust_domains: Vec::new() },
        takes_unlisted: false,
        client_prefix: String::new(),
    };
    let (mut unlisted_given, mut prefix_given) = (false, false);
    for parameter in words(args).1.iter().skip(1) {
        match parameter.split_once('=') {
            Some(("trust_domain", name)) => add_trust_domain(&mut cert.rule, name)?,
            Some(("unlisted", value)) if !unlisted_given => {
                unlisted_given = true;
                cert.takes_unlisted = match value {
                    "deny" => false,
                    "default_tier" => true,
                    _ => return Err(invalid(parameter)),
                };
            }
            Some(("client_prefix", prefix))
                if !prefix_given && jwt::is_valid_client_prefix(prefix) =>
            {
                prefix_given = true;
                literal("\"client_prefix=\" of \"tollgate_client_cert\":", prefix)?;
                prefix.clone_into(&mut cert.client_prefix);
            }
            Some(("unlisted" | "client_prefix", _)) => return Err(invalid(parameter)),
            _ => add_pattern(&mut cert.rule, parameter)?,
        }
    }
    if kind == Kind::Fingerprint && cert.takes_unlisted {
        return Err(error(
            "\"unlisted=default_tier\" of \"tollgate_client_cert\" can't be had with \"fingerprint\": a \
             certificate may be had again with another fingerprint, which would be another client, with limits of \
             its own; name clients by \"san_uri\", \"san_dns\" or \"cn\"",
        ));
    }
    if prefix_given && !cert.takes_unlisted {
        return Err(error(
            "\"client_prefix=\" of \"tollgate_client_cert\" has no effect without \"unlisted=default_tier\", as \
             the keys file names all clients",
        ));
    }
    once(&mut conf.settings.client_cert, args, given(cx, cert))
}

fn invalid(parameter: &str) -> ConfError {
    error(format!(
        "invalid parameter \"{}\" of \"tollgate_client_cert\"; behind the kind of the name it takes patterns of \
         names, \"trust_domain=NAME\", \"unlisted=deny\" or \"unlisted=default_tier\", and one \
         \"client_prefix=TEXT\" of up to 64 bytes without blanks around it",
        parameter.escape_debug()
    ))
}

fn add_trust_domain(rule: &mut CertRule, name: &str) -> Done {
    if rule.kind != Kind::SanUri {
        return Err(error(
            "\"trust_domain=\" of \"tollgate_client_cert\" is for \"san_uri\", where SPIFFE IDs are",
        ));
    }
    if !is_trust_domain(name) {
        return Err(error(format!(
            "invalid \"trust_domain={}\" of \"tollgate_client_cert\"; it takes the name of a trust domain in lower \
             case, without \"spiffe://\"",
            name.escape_debug()
        )));
    }
    rule.trust_domains.push(name.into());
    Ok(())
}

fn add_pattern(rule: &mut CertRule, text: &str) -> Done {
    literal("\"tollgate_client_cert\":", text)?;
    let pattern = NamePattern::parse(rule.kind, text).map_err(|problem| match rule.kind {
        Kind::Fingerprint => error(format!(
            "\"tollgate_client_cert fingerprint\" takes no pattern such as \"{}\"; name certificates in the keys file",
            text.escape_debug()
        )),
        _ => error(format!("\"{}\" in \"tollgate_client_cert\" {problem}", text.escape_debug())),
    })?;
    rule.patterns.push(pattern);
    Ok(())
}

/// `tollgate_xfcc_from ADDRESS | CIDR | unix: ... | off`
pub(super) fn xfcc_from(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let mut peers = ProxyPeers::default();
    let (_, names) = words(args);
    for name in names {
        match name.as_str() {
            "off" if names.len() == 1 => {}
            "unix:" => peers.unix = true,
            text => peers.networks.push(network(text)?),
        }
    }
    once(&mut conf.settings.xfcc_from, args, given(cx, peers))
}

fn network(text: &str) -> Result<Cidr, ConfError> {
    let shown = text.escape_debug();
    let network: Cidr = text.parse().map_err(|problem| {
        error(format!(
            "\"{shown}\" in \"tollgate_xfcc_from\" {problem}; it takes those of proxies, \"unix:\", or \"off\" alone"
        ))
    })?;
    if text.ends_with("/0") {
        return Err(error(format!(
            "\"{shown}\" in \"tollgate_xfcc_from\" is everybody, and whoever can connect could say whose certificate \
             it has; name the addresses of the proxies"
        )));
    }
    Ok(network)
}
