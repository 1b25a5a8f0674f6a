//! What a scheduler before the engines believes its gateway: whom a request is for, how soon it is to be
//! served, and by which machine. A client that says so itself is served before others, or reaches machines that
//! it chooses.

/// `tollgate_scheduler`: who is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduler {
    /// Nobody. What clients say is taken off all the same.
    #[default]
    Off,
    /// What clients say passes.
    Pass,
    /// vLLM's own: `priority` in the body, and `X-Cache-Salt`.
    Vllm,
    /// llm-d's, and others of the Gateway API Inference Extension.
    LlmD,
}

impl Scheduler {
    /// The one of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "off" => Self::Off,
            "pass" => Self::Pass,
            "vllm" => Self::Vllm,
            "llm-d" => Self::LlmD,
            _ => return None,
        })
    }

    /// Whether `priority` in bodies is ours to say.
    #[must_use]
    pub fn owns_priority(self) -> bool {
        matches!(self, Self::Vllm | Self::LlmD)
    }
}

/// The families of such headers: llm-d's names, those that it had before, SGLang's gateway, and what SGLang takes in
/// the place of members of the body. What comes next will be among them.
const PREFIXES: [&[u8]; 4] = [b"x-llm-d-", b"x-gateway-", b"x-smg-", b"x-override-"];

/// Others, in lower case.
const NAMES: [&[u8]; 8] = [
    // llm-d's sidecar sends the request, or asks for a part of a cache, there.
    b"x-prefiller-host-port",
    b"x-encoder-hosts-ports",
    b"x-data-parallel-host-port",
    b"x-kv-cache-source-host-port",
    // vLLM and SGLang have that replica serve it.
    b"x-data-parallel-rank",
    // How soon.
    b"x-slo-ttft-ms",
    b"x-slo-tpot-ms",
    // Wins over `cache_salt` in the body.
    b"x-cache-salt",
];

/// To whoever sends it, vLLM says in a header of its answer how busy it is with the requests of all clients.
const LOAD: &[u8] = b"endpoint-load-metrics-format";

/// What llm-d takes for the path, and so for the form of the body; to others they say something else.
const PATHS: [&[u8]; 2] = [b"x-original-path", b"x-forwarded-path"];

/// Whether some scheduler or engine could take the header of this name for one that its gateway set. `-` may be
/// any byte that is no letter or digit, as CGI and some gateways turn them into each other.
#[must_use]
pub fn is_scheduler_header(name: &[u8]) -> bool {
    // Of nearly all names, the first byte says that they are none of these.
    match (name.first(), name.get(1)) {
        (Some(b'x' | b'X'), Some(second)) if !second.is_ascii_alphanumeric() => {}
        (Some(b'e' | b'E'), _) => return name.len() == LOAD.len() && begins(name, LOAD),
        _ => return false,
    }
    PREFIXES.iter().any(|prefix| name.len() > prefix.len() && begins(name, prefix))
        || NAMES.iter().any(|ours| ours.len() == name.len() && begins(name, ours))
}

/// The same of the headers that llm-d takes for the path.
#[must_use]
pub fn is_path_header(name: &[u8]) -> bool {
    PATHS.iter().any(|ours| ours.len() == name.len() && begins(name, ours))
}

/// Whether the first bytes of `name` are a spelling of `ours`.
fn begins(name: &[u8], ours: &[u8]) -> bool {
    name.iter().zip(ours).all(|(byte, ours)| {
        let byte = byte.to_ascii_lowercase();
        byte == *ours || (*ours == b'-' && !byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_schedulers_are_known_in_any_spelling() {
        for name in [
            "x-llm-d-inference-fairness-id",
            "x-llm-d-inference-objective",
            "x-llm-d-model-name-rewrite",
            "x-llm-d-whatever-comes-next",
            "x-gateway-inference-fairness-id",
            "X-Gateway-Destination-Endpoint",
            "x_gateway_destination_endpoint_subset",
            "x.llm.d.slo-ttft-ms",
            "x-smg-target-worker",
            "x-override-priority",
            "X_Override-Bootstrap_Host",
            "x-prefiller-host-port",
            "X_Prefiller_Host_Port",
            "x-data-parallel-rank",
            "x-cache-salt",
            "X-Cache_Salt",
            "endpoint-load-metrics-format",
            "Endpoint_Load_Metrics-Format",
        ] {
            assert!(is_scheduler_header(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "x",
            "x-",
            "x-llm-d-",
            "x-llm-d",
            "x-llm-dx-a",
            "x-gatewayish",
            "xxgateway-a",
            "a-x-cache-salt",
            "x-cache-salts",
            "x-request-id",
            "x-session-id",
            "x-forwarded-for",
            "x-forwarded-path",
            "x-stainless-retry-count",
            "content-type",
            "e",
            "endpoint-load-metrics",
            "endpoint-load-metrics-formats",
        ] {
            assert!(!is_scheduler_header(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn headers_that_llm_d_takes_for_the_path_are_known() {
        for name in ["x-original-path", "X_Forwarded_Path"] {
            assert!(is_path_header(name.as_bytes()), "{name}");
        }
        for name in ["", "x-original-paths", "x-forwarded-for", "x-cache-salt"] {
            assert!(!is_path_header(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_are_those_of_the_directive() {
        assert_eq!(Scheduler::from_name("llm-d"), Some(Scheduler::LlmD));
        assert_eq!(Scheduler::from_name("vllm"), Some(Scheduler::Vllm));
        assert_eq!(Scheduler::from_name("off"), Some(Scheduler::Off));
        assert_eq!(Scheduler::from_name("pass"), Some(Scheduler::Pass));
        for name in ["", "on", "LLM-D", "llmd", "vLLM"] {
            assert_eq!(Scheduler::from_name(name), None, "{name}");
        }
        assert!(!Scheduler::Off.owns_priority() && !Scheduler::Pass.owns_priority());
    }
}
