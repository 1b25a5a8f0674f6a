//! What exactly was wrong with a request that is refused, where a [`Reason`] has several causes: for
//! the audit log and the error log, never for the client.
//!
//! A [`Cause`] is a word of a closed list. Some have a name beside them, which is the operator's (of a
//! claim that the configuration names, of a zone, of a location), or one that a standard or an API
//! defines (`crit`, `max_tokens`). Nothing that a client sent is in either.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use crate::decision::Reason;

/// Makes the enum of causes and its tables of lines: variant, reason, word, and what the error log
/// says, in which `NAME` stands for the name.
macro_rules! causes {
    ($($variant:ident $reason:ident $word:literal $text:literal;)+) => {
        /// Why exactly a request was refused. The words are part of the audit log's format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cause {
            $(
                #[doc = $text]
                $variant,
            )+
        }

        impl Cause {
            /// Every cause, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The first word of `detail` in the audit log.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The reason that it is a cause of.
            #[must_use]
            pub fn reason(self) -> Reason {
                match self { $(Self::$variant => Reason::$reason,)+ }
            }

            /// The same in a sentence.
            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

causes! {
    NoCredential MissingCredential "no_credential" "none of the headers that carry a credential is there";
    OtherScheme MissingCredential "other_scheme" "the scheme of \"Authorization\" is not \"Bearer\"";
    NoCertificate MissingCredential "no_certificate" "neither a header with a credential nor a client certificate is there";
    XfccUntrusted MissingCredential "xfcc_untrusted" "\"X-Forwarded-Client-Cert\" comes from an address that \"tollgate_xfcc_from\" does not name";

    UnknownKey InvalidCredential "unknown_key" "the key is in no keys file that is in force";
    EntryRefused InvalidCredential "entry_refused" "the key's entry in the keys file is wrong, and refused";
    NoBearer InvalidCredential "no_bearer" "\"Authorization\" has no \"Bearer\" before the credential, or nothing behind it";
    BearerTwice InvalidCredential "bearer_twice" "the credential itself begins with \"Bearer\"";
    BlankInKey InvalidCredential "blank_in_key" "the key is unknown, and has a blank, a quote or a control character";
    OddSubprotocol InvalidCredential "odd_subprotocol" "\"Sec-WebSocket-Protocol\" lists what is no token, or a key without a byte";
    HashForKey InvalidCredential "hash_for_key" "the hash of a key was sent in place of the key";
    TokenForKey InvalidCredential "token_for_key" "a token was sent where API keys alone are accepted";
    UnknownCert InvalidCredential "unknown_cert" "the name of the certificate is in no keys file that is in force";
    CertUnverified InvalidCredential "cert_unverified" "the certificate is not signed by a CA that the server trusts";
    CertNotAsked InvalidCredential "cert_not_asked" "the server verifies no certificates, or it is not the one that the client named when the connection began";
    CertUnreadable InvalidCredential "cert_unreadable" "the certificate can't be read";
    CertWithoutName InvalidCredential "cert_without_name" "the certificate has no name of the kind that \"tollgate_client_cert\" says";
    CertAmbiguous InvalidCredential "cert_ambiguous" "the certificate has several names of the kind that \"tollgate_client_cert\" says";
    CertNameUnusable InvalidCredential "cert_name_unusable" "the name in the certificate is not in its right form, or that of a CA";
    CertNameRefused InvalidCredential "cert_name_refused" "the name in the certificate fits nothing that \"tollgate_client_cert\" accepts";
    XfccMalformed InvalidCredential "xfcc_malformed" "\"X-Forwarded-Client-Cert\" is not in Envoy's format, or contradicts itself";
    XfccSeveral InvalidCredential "xfcc_several" "\"X-Forwarded-Client-Cert\" is there twice, or tells of different certificates";

    KeyExpired ExpiredCredential "key_expired" "the key is at or after its \"expires\"";
    TokenExpired ExpiredCredential "token_expired" "the token has expired";
    CertExpired ExpiredCredential "cert_expired" "the certificate has expired";
    KeyNotYetValid NotYetValid "key_not_yet_valid" "the key is before its \"not_before\"";
    TokenNotYetValid NotYetValid "token_not_yet_valid" "the token is not valid yet";
    CertNotYetValid NotYetValid "cert_not_yet_valid" "the certificate is not valid yet";

    KeyHeaderAndAuthorization ConflictingCredentials "key_header_and_authorization" "\"Authorization\" and a header for keys carry different credentials";
    KeyHeaders ConflictingCredentials "key_headers" "headers for keys carry different credentials";
    HeaderAndCert ConflictingCredentials "header_and_cert" "the credential and the client certificate are those of different clients";

    NoToken InvalidToken "no_token" "\"Authorization\" has no \"Bearer\" before the token, or nothing behind it";
    TokenTooLong InvalidToken "token_too_long" "the token is too long";
    NotCompact InvalidToken "not_compact" "the token is no compact JWS of three parts";
    BadEncoding InvalidToken "bad_encoding" "the NAME is not canonical base64url";
    NotJson InvalidToken "not_json" "the NAME is no JSON object with distinct member names";
    HeaderMember InvalidToken "header_member" "header member \"NAME\" is not accepted";
    HeaderType InvalidToken "header_type" "header member \"NAME\" has the wrong type";
    ForeignType InvalidToken "foreign_type" "\"typ\" is that of a token for another purpose";
    UnknownAlgorithm InvalidToken "unknown_algorithm" "\"alg\" is missing or unknown";
    AlgorithmNotAllowed InvalidToken "algorithm_not_allowed" "\"alg\" is not allowed here";
    NoKey InvalidToken "no_key" "no key fits \"kid\" and \"alg\"";
    BadSignature InvalidToken "bad_signature" "the signature is wrong";
    MissingClaim InvalidToken "missing_claim" "claim \"NAME\" is missing";
    BadClaim InvalidToken "bad_claim" "claim \"NAME\" has an unusable value";
    IssuerNotAllowed InvalidToken "issuer_not_allowed" "\"iss\" is not an accepted issuer";
    ForeignKey InvalidToken "foreign_key" "the key that signed the token is not one of \"iss\"";
    AudienceNotAllowed InvalidToken "audience_not_allowed" "\"aud\" holds no accepted audience";
    UnknownBinding InvalidToken "unknown_binding" "\"cnf\" binds the token in a way that is not known here";
    TokenWithoutCert InvalidToken "token_without_cert" "the token is bound to a client certificate, and none is there";
    TokenOfOtherCert InvalidToken "token_of_other_cert" "the token is bound to another client certificate";
    Inactive InvalidToken "inactive" "the token is not active";

    OutsideCidrs AddressDenied "outside_cidrs" "the client's address is in none of the key's \"cidrs\"";
    InDenyCidrs AddressDenied "in_deny_cidrs" "the client's address is in the key's \"deny_cidrs\"";
    NoAddress AddressDenied "no_address" "the key has \"cidrs\" or \"deny_cidrs\", and the client of a UNIX-domain socket has no address";
    OutsideCidrsOfTier AddressDenied "outside_cidrs_of_tier" "the client's address is in none of the tier's \"cidrs\"";
    InDenyCidrsOfTier AddressDenied "in_deny_cidrs_of_tier" "the client's address is in the tier's \"deny_cidrs\"";
    NoAddressForTier AddressDenied "no_address_for_tier" "the tier has \"cidrs\" or \"deny_cidrs\", and the client of a UNIX-domain socket has no address";

    KeyWithoutTier TierDenied "key_without_tier" "the key names no tier, and there is no \"tollgate_default_tier\"";
    TokenWithoutTier TierDenied "token_without_tier" "claim \"NAME\" is missing, and there is no \"tollgate_default_tier\"";
    UnknownTierOfKey TierDenied "unknown_tier_of_key" "the key names a tier that is not declared";
    UnknownTierOfToken TierDenied "unknown_tier_of_token" "claim \"NAME\" names a tier that is not declared";

    ModelNotAllowed ModelDenied "model_not_allowed" "the model fits none of the \"models\" of the NAME";
    UnreadModel ModelDenied "unread_model" "the client may use some models only, and the request may name one where it is not read";
    NoPrice ModelDenied "no_price" "the model has no price, and a budget applies";

    ClosedEndpoint EndpointDenied "closed_endpoint" "\"tollgate_endpoints\" closes the path";
    OthersRequests EndpointDenied "others_requests" "the path reaches into the requests of others; the scope \"admin\" or \"tollgate_endpoints\" can open it";
    OperatorsEndpoint EndpointDenied "operators_endpoint" "the path is for operators, and neither the tier nor the credential has the scope \"admin\"; \"tollgate_endpoints\" can open it";
    OperatorsParameter EndpointDenied "operators_parameter" "\"NAME\" has the engine do what is for operators, and neither the tier nor the credential has the scope \"admin\"; \"tollgate_endpoints\" can open the path";
    ForwardedElsewhere EndpointDenied "forwarded_elsewhere" "the variables of \"proxy_pass\" make another endpoint of the path than the one that was judged";
    UnknownEndpoint EndpointDenied "unknown_endpoint" "the path is not known to \"tollgate_engine NAME\"; \"tollgate_endpoints\" can open it";
    NotCounted EndpointDenied "not_counted" "tokens or money are counted, and what the path takes is not read with \"tollgate_engine NAME\"; \"tollgate_endpoints\" can open it";
    ListsObjects EndpointDenied "lists_objects" "the path lists what all clients keep at the engine; \"tollgate_endpoints\" can open it";
    ObjectsUnkept EndpointDenied "objects_unkept" "the path reaches what clients keep at the engine, and nobody knows whose it is: there is no \"tollgate_owned_objects\"; that, or \"tollgate_endpoints\", can open it";
    UnreadEndpoint EndpointDenied "unread_endpoint" "the tier says what requests may ask for, or a guard what they may say, and the body of the path is not read; \"tollgate_endpoints\" can open it";
    UnsaltedEndpoint EndpointDenied "unsalted_endpoint" "the engine takes no cache salt there, and \"tollgate_cache_salt\" wants one; \"tollgate_endpoints\" can open it";

    MissingScope ScopeDenied "missing_scope" "the tier or the credential has not the scope \"NAME\"";

    DeniedFeature FeatureDenied "denied_feature" "the request uses \"NAME\", which the tier does not allow";
    OverMaximum FeatureDenied "over_maximum" "the request asks for more than \"NAME\" of the tier";
    UnknownMember FeatureDenied "unknown_member" "the body has a member that the engine does not know";
    Background FeatureDenied "background" "a response in the background, where tokens or money are counted";

    GuardBlocked ContentPolicy "guard_blocked" "a guard found \"NAME\"";
    UnseenContent ContentPolicy "unseen_content" "\"NAME\" is no text, and no guard can look into it";
    UnseenAnswer ContentPolicy "unseen_answer" "a guard can't read the answer";
    Undecided ContentPolicy "undecided" "the classifier \"NAME\" doesn't say whether a text may pass";
    TooLongToJudge ContentPolicy "too_long_to_judge" "there is more text than the classifier \"NAME\" is asked about";

    UnknownObject ObjectNotFound "unknown_object" "nobody is known to have made the object that is named";
    AnothersObject ObjectNotFound "anothers_object" "another client made the object that is named";
    NobodysObject ObjectNotFound "nobodys_object" "an object is named, and nobody has authenticated";

    UnsafeByte MalformedPath "unsafe_byte" "the path has a control character or a backslash, maybe encoded";
    OddSegment MalformedPath "odd_segment" "the path has an empty segment, or one of dots";

    BodyNotJson MalformedRequest "body_not_json" "the body is not valid JSON in UTF-8";
    BodyNotAnObject MalformedRequest "body_not_an_object" "the body is not a JSON object";
    BodyTooDeep MalformedRequest "body_too_deep" "the body is nested too deeply";
    BodyNotAForm MalformedRequest "body_not_a_form" "the body is no form with files that all servers would read alike";
    DuplicateMember MalformedRequest "duplicate_member" "\"NAME\" is given more than once";
    MisspeltMember MalformedRequest "misspelt_member" "\"NAME\" is not written in lower case";
    HalfPair MalformedRequest "half_pair" "\"NAME\" has half of a surrogate pair";
    MissingMember MalformedRequest "missing_member" "\"NAME\" is missing or empty, the client may use some models only, and the tier has no \"default_model\"";
    BadMember MalformedRequest "bad_member" "\"NAME\" has a value of the wrong type, or out of range";

    TooManyObjects MalformedRequest "too_many_objects" "the body names more than 512 objects";

    NoFreeSlot ConcurrencyExceeded "no_free_slot" "as many requests as the limit allows are in flight, and there is no queue";
    QueueFull ConcurrencyExceeded "queue_full" "the queue of the limit is full";
    QueueTimeout ConcurrencyExceeded "queue_timeout" "the request has waited in the queue for as long as it may";

    NoRoomForClient ZoneFull "no_room_for_client" "zone \"NAME\" has no room for a further client or key";
    NoRoomForObject ZoneFull "no_room_for_object" "zone \"NAME\" of \"tollgate_owned_objects\" has no room for a further stream";
    NoRoomInFlight ZoneFull "no_room_in_flight" "zone \"NAME\" has no room for a further request in flight";
    NoRoomInQueue ZoneFull "no_room_in_queue" "zone \"NAME\" has no room for a further request in a queue";

    NoKeysFromProvider KeysUnavailable "no_keys_from_provider" "\"NAME\" gave no usable keys";
    NoKeysInTime KeysUnavailable "no_keys_in_time" "no keys came from \"NAME\" in time";
    NoVerdict IntrospectionUnavailable "no_verdict" "\"NAME\" gave no usable answer";
    NoVerdictInTime IntrospectionUnavailable "no_verdict_in_time" "\"NAME\" gave no answer in time";
    NotJudged ClassifierUnavailable "not_judged" "the classifier \"NAME\" gave no usable answer";
    NotJudgedInTime ClassifierUnavailable "not_judged_in_time" "the classifier \"NAME\" gave no answer in time";
    QuestionLoop ClassifierUnavailable "question_loop" "the request is a question to a classifier, whose location \"NAME\" leads back here";
    StoreLost StoreLost "store_lost" "the store of tollgate_cluster cannot be reached, and \"on_loss=deny\"";
    NoRoomForLease ZoneFull "no_room_for_lease" "the leases of tollgate_cluster have no room for a further client or key";

    Panic InternalError "panic" "a callback of the module panicked, or nginx had no memory for it";
    OutOfMemory InternalError "out_of_memory" "nginx has no memory";
    NoZone InternalError "no_zone" "there is no shared memory";
    NoKeySet InternalError "no_key_set" "no key set is in force";
    BodyUnreadable InternalError "body_unreadable" "the body of the request can't be read back";
    LengthInSet InternalError "length_in_set" "a variable of \"set\" holds the length of the body, which has to change";
    VariableFailed InternalError "variable_failed" "a variable of the module failed";
    UnreadableList InternalError "unreadable_list" "what the engine says of its models is no JSON of a known form, or too long, and is not shown";
    HeadersFailed InternalError "headers_failed" "the header of the answer could not be made";
}

/// A [`Cause`], and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    cause: Cause,
    name: Option<Cow<'static, str>>,
}

impl Detail {
    /// `name` must be the operator's, or one of a standard: never a client's.
    #[must_use]
    pub fn new(cause: Cause, name: impl Into<Cow<'static, str>>) -> Self {
        Self { cause, name: Some(name.into()) }
    }

    /// The word of the closed list.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// What it is about, if anything.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The value of `detail` in the audit log: the word, and behind a blank the name, if there is one.
    #[must_use]
    pub fn value(&self) -> Cow<'static, str> {
        match self.name() {
            None => self.cause.as_str().into(),
            Some(name) => format!("{} {name}", self.cause.as_str()).into(),
        }
    }
}

impl From<Cause> for Detail {
    fn from(cause: Cause) -> Self {
        Self { cause, name: None }
    }
}

/// The sentence of the error log.
impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.cause.text();
        match text.split_once("NAME") {
            Some((before, after)) => {
                f.write_str(before)?;
                f.write_str(self.name().unwrap_or_default())?;
                f.write_str(after)
            }
            None => f.write_str(text),
        }
    }
}

/// What is odd about a credential that is no key, as far as that can be said without a word of it.
#[must_use]
pub fn odd_key(key: &[u8], looks_like_token: bool) -> Cause {
    const BEARER: &[u8] = b"bearer ";
    let begins =
        |with: &[u8]| key.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let is_odd = |byte: &u8| byte.is_ascii_control() || b" \"'`".contains(byte);
    if key.is_empty() {
        Cause::NoBearer
    } else if begins(BEARER) {
        Cause::BearerTwice
    } else if begins(b"sha256:") {
        Cause::HashForKey
    } else if looks_like_token {
        Cause::TokenForKey
    } else if key.iter().any(is_odd) {
        Cause::BlankInKey
    } else {
        Cause::UnknownKey
    }
}

/// For how long nothing more is said of refusals of one kind at level `error`, in milliseconds.
pub const QUIET_MS: u64 = 60_000;

/// Which kinds of refusals were told of lately, in which log. A kind is a reason with its cause, so
/// there are few.
#[derive(Clone, Debug, Default)]
pub struct Told {
    kinds: HashMap<(usize, Reason, Option<Cause>), u64>,
}

impl Told {
    /// Whether a refusal at `now_ms` of the monotonic clock is the first of its kind for [`QUIET_MS`] in
    /// this log. If so, it is noted.
    pub fn is_due(
        &mut self,
        log: usize,
        (reason, cause): (Reason, Option<Cause>),
        now_ms: u64,
    ) -> bool {
        let kind = (log, reason, cause);
        let then = self.kinds.get(&kind);
        let is_due = then.is_none_or(|then| now_ms.saturating_sub(*then) >= QUIET_MS);
        if is_due {
            self.kinds.insert(kind, now_ms);
        }
        is_due
    }
}

#[cfg(test)]
mod tests;
