//! Calls of a state machine.

use super::Conditions;
use crate::meter::{Meter, Sample};
use crate::system::Machines;

/// One caller, one idle machine.
pub(crate) fn statem_call<S: Machines>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move {
        let machine = S::machine().await;
        for _ in 0..n / 10 {
            S::ask(&machine).await;
        }
        let meter = Meter::start();
        for _ in 0..n {
            S::ask(&machine).await;
        }
        meter.stop(n)
    })
}

/// The same, and each call sets the state timeout anew.
pub(crate) fn statem_timeout<S: Machines>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move {
        let machine = S::machine().await;
        for _ in 0..n / 10 {
            S::rearm(&machine).await;
        }
        let meter = Meter::start();
        for _ in 0..n {
            S::rearm(&machine).await;
        }
        meter.stop(n)
    })
}

/// The same, and each call changes the state; every second one sets a state timeout, which the next one takes off.
pub(crate) fn statem_flip<S: Machines>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move {
        let machine = S::machine().await;
        for _ in 0..n / 10 {
            S::flip(&machine).await;
        }
        let meter = Meter::start();
        for _ in 0..n {
            S::flip(&machine).await;
        }
        meter.stop(n)
    })
}
