//! purlin-core's `process` folder.

#[allow(dead_code)]
#[path = "../../purlin-core/src/process/cell.rs"]
pub(crate) mod cell;
#[allow(dead_code)]
#[path = "../../purlin-core/src/process/exit.rs"]
pub(crate) mod exit;
#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../../purlin-core/src/process/exit_reason.rs"]
pub(crate) mod exit_reason;
#[allow(dead_code)]
#[path = "../../purlin-core/src/process/extra.rs"]
pub(crate) mod extra;
#[allow(dead_code)]
#[path = "../../purlin-core/src/process/lineage.rs"]
pub(crate) mod lineage;
#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../../purlin-core/src/process/pid.rs"]
pub(crate) mod pid;
#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../../purlin-core/src/process/relations.rs"]
pub(crate) mod relations;
#[allow(dead_code)]
#[path = "../../purlin-core/src/process/seat.rs"]
pub(crate) mod seat;
#[allow(dead_code)]
#[path = "../../purlin-core/src/process/signal.rs"]
pub(crate) mod signal;
#[allow(dead_code)]
#[path = "../../purlin-core/src/process/small_map.rs"]
pub(crate) mod small_map;
#[allow(dead_code)]
#[path = "../../purlin-core/src/process/table.rs"]
pub(crate) mod table;
mod table_page;
#[allow(dead_code)]
#[path = "../../purlin-core/src/process/word.rs"]
pub(crate) mod word;

pub(crate) mod panic {
    //! A panic in a model is a finding: nothing is caught.

    use crate::process::exit_reason::ExitReason;

    #[allow(clippy::unnecessary_wraps, reason = "the kernel's signature")]
    pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, ExitReason> {
        Ok(f())
    }

    #[allow(dead_code, reason = "the kernel's interface")]
    pub(crate) fn drop_quietly<T>(_what: &str, value: T) {
        drop(value);
    }
}

pub(crate) mod report {
    //! Nobody reads a model's crash reports.

    use crate::process::cell::Proc;
    use crate::process::exit_reason::ExitReason;

    pub(crate) fn ended(_proc: &Proc, _reason: &ExitReason) {}
}

pub(crate) mod run {
    //! What of `run` the included files use.

    use std::marker::PhantomData;

    use crate::process::cell::Proc;
    use crate::process::pid::Pid;

    /// Models need nothing of the executor's.
    pub(crate) struct RunCx<'a>(PhantomData<&'a ()>);

    impl RunCx<'_> {
        pub(crate) fn new() -> Self {
            RunCx(PhantomData)
        }
    }

    pub(crate) fn packed(proc: &Proc) -> u64 {
        (u64::from(proc.pid().serial()) << 32) | u64::from(proc.pid().id())
    }

    pub(crate) fn unpack(proc: &Proc, packed: u64) -> Pid {
        Pid::from_parts(proc.pid().node_index(), packed as u32, (packed >> 32) as u32)
    }
}

mod spawn {
    use crate::process::cell::Proc;
    use crate::process::lineage::Lineage;
    use crate::process::pid::Pid;

    impl Proc {
        pub(crate) fn parent(&self) -> Option<Pid> {
            self.lineage.as_ref().map(Lineage::parent)
        }
    }
}
