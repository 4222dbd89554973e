//! Purlin.

use crate::workloads::Run;

/// What Purlin takes part in.
pub(crate) const WORKLOADS: &[(&str, Run)] = &[];
