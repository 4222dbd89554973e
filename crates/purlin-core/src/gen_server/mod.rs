//! GenServer (documentation to follow in this module's final form).

pub(crate) mod call_future;
pub(crate) mod cast;
pub(crate) mod cx;
pub(crate) mod direct;
pub(crate) mod frame;
pub(crate) mod info;
pub(crate) mod message;
pub(crate) mod refs;
pub(crate) mod server;
pub(crate) mod shape;
pub(crate) mod start;
pub(crate) mod traits;

pub use call_future::{Call, CallFuture, DEFAULT_CALL_TIMEOUT, call};
pub use cast::{CastWait, TryCastError};
pub use cx::{Cx, ReadCx, Timeout};
pub use info::Accepts;
pub use refs::{Name, Ref, StopError, Target};
pub use shape::{Crash, Flow, InitError, Later, OrCrash, OrLater, Plain, Reply, ReplyTo, Shape};
pub use start::{Start, StartError, StartFuture};
pub use traits::{
    ByCall, ByRead, CallFor, CastFor, Client, ContinueFor, GenServer, Handle, HandleCall, HandleCast,
    HandleContinue, HandleInfo, HandleRead, InfoFor, Monitors, ReadInParallel, TrapsExits,
};

/// Casts to a target; for generated client methods.
#[doc(hidden)]
pub fn cast_to<S: GenServer, M: CastFor<S, K>, K: 'static>(target: &Target<S>, message: M) {
    cast::cast(target, message);
}
