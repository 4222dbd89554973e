//! What of `sys` the included files name.

pub(crate) mod debug {
    /// No process of a model is traced.
    pub(crate) struct Debug;
}
