//! Registry.
mod builder;
mod entries;
mod error;
mod handle;
mod hash;
mod key;
mod owner;
mod tables;
mod via;

pub use builder::{RegistryBuilder, RegistryName, RegistryServer};
pub use entries::{Entries, IntoIter};
pub use error::RegistryError;
pub use handle::Registry;
pub use key::{AsKey, Key};
