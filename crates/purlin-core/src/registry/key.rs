//! What can be a key, a value, and a borrowed form of a key.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use crate::hash::Seeds;

/// What can be a key of a registry: anything that can be hashed, compared, cloned, printed and shared. Strings, numbers, tuples, and
/// enums and structs that derive the five traits.
///
/// Equality is Rust's: `1` and `1.0` cannot meet, and `f64`, which is not equal to itself when it is a NaN, is no key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a registry key",
    label = "not a key",
    note = "a key is `Hash + Eq + Clone + Debug + Send + Sync + 'static`: derive what is missing"
)]
pub trait Key: Hash + Eq + Clone + Debug + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<K: Hash + Eq + Clone + Debug + Send + Sync + 'static> Key for K {}

/// A key of type `K`, or a borrowed form of one: a `&str` finds a `String`. As in `HashMap`, by [`Borrow`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no key of a registry whose keys are `{K}`",
    label = "not a `{K}`, nor a borrowed form of one"
)]
pub trait AsKey<K>: Hash {
    #[doc(hidden)]
    fn find<'m, T>(&self, map: &'m HashMap<K, T, Seeds>) -> Option<&'m T>;
    #[doc(hidden)]
    fn find_mut<'m, T>(&self, map: &'m mut HashMap<K, T, Seeds>) -> Option<&'m mut T>;
    #[doc(hidden)]
    fn remove<T>(&self, map: &mut HashMap<K, T, Seeds>) -> Option<(K, T)>;
    #[doc(hidden)]
    fn is(&self, key: &K) -> bool;
}

#[diagnostic::do_not_recommend]
impl<K, Q> AsKey<K> for Q
where
    K: Borrow<Q> + Hash + Eq,
    Q: Hash + Eq + ?Sized,
{
    #[inline(always)]
    fn find<'m, T>(&self, map: &'m HashMap<K, T, Seeds>) -> Option<&'m T> {
        map.get(self)
    }

    fn find_mut<'m, T>(&self, map: &'m mut HashMap<K, T, Seeds>) -> Option<&'m mut T> {
        map.get_mut(self)
    }

    fn remove<T>(&self, map: &mut HashMap<K, T, Seeds>) -> Option<(K, T)> {
        map.remove_entry(self)
    }

    fn is(&self, key: &K) -> bool {
        key.borrow() == self
    }
}
