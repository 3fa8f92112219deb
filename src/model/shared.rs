//! A list that grows at its end, and whose copies share what is full of it: a copy costs a few points, however long the list.

use std::sync::Arc;

/// Items that are shared as one.
const PIECE: usize = 16;

/// The list. Only its newest item can be changed.
#[derive(Debug, Clone)]
pub(super) struct Shared<T> {
    /// Pieces of [`PIECE`] items each.
    full: Arc<Vec<Arc<[T]>>>,
    /// What comes after them: nothing only of an empty list.
    open: Vec<T>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { full: Arc::default(), open: Vec::new() }
    }
}

impl<T: Clone> Shared<T> {
    /// Items in it.
    pub(super) fn len(&self) -> usize {
        self.full.len() * PIECE + self.open.len()
    }

    /// One of them, counted from 0.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        match self.full.get(index / PIECE) {
            Some(piece) => piece.get(index % PIECE),
            None => self.open.get(index - self.full.len() * PIECE),
        }
    }

    /// The oldest.
    pub(super) fn first(&self) -> Option<&T> {
        self.get(0)
    }

    /// The newest.
    pub(super) fn last(&self) -> Option<&T> {
        self.open.last()
    }

    /// The newest, to be changed.
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.open.last_mut()
    }

    /// All of them, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.full.iter().flat_map(|piece| piece.iter()).chain(&self.open)
    }

    /// Those from one index up to another, as far as they exist.
    pub(super) fn range(&self, from: usize, to: usize) -> impl Iterator<Item = &T> {
        (from..to).map_while(|i| self.get(i))
    }

    /// How many come first that `is_before` holds for, where it does for none after them.
    pub(super) fn partition_point(&self, mut is_before: impl FnMut(&T) -> bool) -> usize {
        let whole = self.full.partition_point(|piece| piece.last().is_some_and(&mut is_before));
        let next = self.full.get(whole).map_or(self.open.as_slice(), |piece| piece);
        whole * PIECE + next.partition_point(is_before)
    }

    /// Adds the newest.
    pub(super) fn push(&mut self, item: T) {
        if self.open.len() == PIECE {
            let piece = Arc::from(self.open.as_slice());
            Arc::make_mut(&mut self.full).push(piece);
            self.open.clear();
        }
        self.open.push(item);
    }

    /// Forgets the oldest, in whole pieces, as long as so many stay.
    pub(super) fn keep_newest(&mut self, least: usize) {
        let pieces = (self.len().saturating_sub(least) / PIECE).min(self.full.len());
        if pieces > 0 {
            Arc::make_mut(&mut self.full).drain(..pieces);
        }
    }
}

impl<T: Clone> FromIterator<T> for Shared<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut list = Self::default();
        items.into_iter().for_each(|item| list.push(item));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_like_a_plain_list() {
        for n in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE, 5 * PIECE + 3] {
            let plain: Vec<usize> = (0..n).map(|i| i * 2).collect();
            let list: Shared<usize> = plain.iter().copied().collect();
            assert_eq!((list.len(), list.first(), list.last()), (n, plain.first(), plain.last()));
            assert!(list.iter().eq(&plain));
            for i in 0..n + 2 {
                assert_eq!(list.get(i), plain.get(i));
                assert!(list.range(i, n + 9).eq(plain.get(i..).unwrap_or_default()));
            }
            for value in 0..2 * n + 3 {
                assert_eq!(list.partition_point(|x| *x < value), plain.partition_point(|x| *x < value), "{n} {value}");
            }
        }
    }

    #[test]
    fn copies_share_what_is_full_and_go_on_apart() {
        let mut list: Shared<usize> = (0..10 * PIECE).collect();
        let copy = list.clone();
        assert!(Arc::ptr_eq(&list.full, &copy.full));
        list.push(7);
        if let Some(last) = list.last_mut() {
            *last = 8;
        }
        assert!(Arc::ptr_eq(&list.full[3], &copy.full[3]));
        assert_eq!((list.last(), list.len()), (Some(&8), 10 * PIECE + 1));
        assert!(copy.iter().copied().eq(0..10 * PIECE));
    }

    #[test]
    fn the_oldest_go_in_pieces() {
        let mut list: Shared<usize> = (0..10 * PIECE).collect();
        list.keep_newest(4 * PIECE + 1);
        assert!(list.iter().copied().eq(5 * PIECE..10 * PIECE));
        list.keep_newest(9 * PIECE);
        assert_eq!(list.len(), 5 * PIECE);
    }
}
