//! What happens to a request, in the order of nginx's phases:
//!
//! | phase         | file              | what happens                                             |
//! |---------------|-------------------|----------------------------------------------------------|
//! | POST_READ     | [`id`]            | the error log has its id from here on                    |
//! | PREACCESS     | [`identity`]      | what the client says about itself is removed             |
//! |               | [`browser`]       | preflights are answered                                  |
//! | ACCESS        | [`access`]        | may they? the order of what follows                      |
//! |               | [`first_look`]    | its id, and what it presents                             |
//! |               | [`authenticate`]  | credential, principal                                    |
//! |               | [`certificate`]   | the client's certificate: whose it is, what it binds     |
//! |               | [`auth_failures`] | wrong credentials are counted                            |
//! |               | [`whereabouts`]   | is the key used from too many networks?                  |
//! |               | [`endpoint`]      | which path does the engine get, and is it open to them?  |
//! |               | [`objects`]       | are the objects that it names the client's own?          |
//! |               | [`models`]        | may they use the model?                                  |
//! |               | [`body`]          | what is asked for? read for authenticated clients only   |
//! |               | [`long_body`]     | a long one is read in turns                              |
//! |               | [`features`]      | may the client ask for all of that?                      |
//! |               | [`guards`]        | what does it say, and is that for the model?             |
//! |               | [`judging`]       | and what does a [`classifier`] say of it?                |
//! |               | [`rewrite`]       | what of it changes before the engine gets it             |
//! |               | [`salt`]          | tenants are kept apart in the engine's cache             |
//! |               | [`estimate`]      | what may that take? by what was learned of its like      |
//! |               | [`admit`]         | reserve on every limit, all or nothing: [`asking`], [`asks`] |
//! |               | [`leases`]        | and draw on the node's leases, in a cluster; [`awaiting`], [`store_wait`] |
//! |               | [`queue`]         | wait for a concurrency slot                              |
//! | after each    | [`refusal`]       | a refused request stays refused, wherever nginx leads it |
//! | PRECONTENT    | [`identity`]      | identity headers set, credential removed                 |
//! |               | [`scheduler`]     | and those that schedulers believe their gateway          |
//! | header filter | [`answer`]        | ratelimit headers; the body of a refusal                 |
//! |               | [`browser`]       | which pages may read it                                  |
//! |               | [`catalogue`]     | what tells of models waits, and is made one for the client |
//! | body filter   | [`answer`]        | usage read as the answer streams, into its [`meter`]     |
//! |               | [`renaming`]      | the alias of a model, where nothing is metered           |
//! |               | [`screen`]        | what guards let the client see of it                     |
//! |               | [`settlement`]    | at its end: settle the [`reservation`], free its slots   |
//! | CONTENT       | [`pages`]         | what operators and clients can look at                   |
//! | LOG           | [`audit`]         | one audit line; what ended otherwise is settled          |
//! |               | [`observe`]       | the request is counted                                   |
//!
//! [`state`] is what is known about one request ([`charges`]: what it was charged to), and [`keeping`] what it has to do with objects of its client;
//! [`pause`] lets it wait; [`variables`] shows it to nginx; [`revocation`] cuts off requests whose credential
//! is taken back, and [`drops`] those of a client that an operator drops.

pub(crate) mod access;
mod admit;
pub(crate) mod answer;
mod asking;
pub(crate) mod asks;
pub(crate) mod audit;
pub(crate) mod auth_failures;
mod authenticate;
mod awaiting;
mod body;
pub(crate) mod browser;
pub(crate) mod catalogue;
mod certificate;
mod charges;
pub(crate) mod classifier;
mod complaint;
pub(crate) mod drops;
pub(crate) mod endpoint;
mod estimate;
mod features;
mod first_look;
mod form;
mod grounds;
pub(crate) mod guarded;
mod guards;
pub(crate) mod id;
pub(crate) mod identity;
mod judging;
mod keeping;
mod learn;
mod leases;
mod long_body;
pub(crate) mod meter;
mod models;
mod objects;
mod observe;
pub(crate) mod pages;
mod pause;
pub(crate) mod queue;
mod refusal;
mod renaming;
mod report;
mod reservation;
pub(crate) mod revocation;
mod rewrite;
mod running;
mod salt;
mod scheduler;
pub(crate) mod screen;
pub(crate) mod settlement;
mod shortage;
mod socket;
pub(crate) mod state;
mod store_wait;
mod suspicion;
pub(crate) mod variables;
mod web_page;
mod whereabouts;
