//! What this node does with a new connection, and why, in words: the datapath's own decisions over the
//! tables, in memory or copied from the kernel. `shunt explain` asks and prints.

mod answer;
mod decide;
mod forward;
mod health_check;
mod place;
mod question;
mod refuse;
mod untouched;
mod words;

pub use answer::{Answer, ClientAddress, Verdict};
pub use decide::explain;
pub use proxy_common::datapath::Origin;
pub use question::{Question, affinity_key, contradiction};
