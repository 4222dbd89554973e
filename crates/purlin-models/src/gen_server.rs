//! What of `gen_server` the included files name.

pub(crate) mod message {
    use crate::process::cell::Proc;
    use crate::process::pid::Pid;

    pub(crate) fn unpack_pid(proc: &Proc, packed: u64) -> Pid {
        Pid::from_parts(proc.pid().node_index(), packed as u32, (packed >> 32) as u32)
    }
}
