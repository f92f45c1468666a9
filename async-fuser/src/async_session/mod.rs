//! A session of the asynchronous face: from a mounted connection to its end, on Tokio.

mod aside;
mod builder;
mod cancellation;
mod driver;
mod flight;
mod handle;
mod hub;
mod in_flight;
mod leader;
mod notifier;
mod reader;
mod request;

pub use builder::AsyncSessionBuilder;
pub use cancellation::Cancellation;
pub use driver::AsyncSession;
pub(crate) use flight::session_local;
pub use handle::{AsyncBackgroundSession, SessionHandle};
pub use in_flight::InFlight;
pub use notifier::{AsyncNotifier, open_backing};
