//! Chunks: parts of an array in memory.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::{ArrayD, Dimension, IxDyn};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

use crate::element::Element;

/// A part of an array: its elements, in the order of their positions. Clones share them.
#[derive(Clone, PartialEq)]
pub struct Chunk<A> {
    pub(crate) shape: Vec<usize>,
    pub(crate) elements: Arc<Vec<A>>,
}

impl<A: Element> Chunk<A> {
    pub(crate) fn new(shape: Vec<usize>, elements: Vec<A>) -> Self {
        Self {
            shape,
            elements: Arc::new(elements),
        }
    }

    /// Returns the chunk as an array.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::arange;
    ///
    /// let chunks = arange(0_i32..6, 4).to_delayed(&holdall::Context::default())?;
    /// let last = chunks[1].compute()?;
    /// assert_eq!(last.into_array(), ndarray::arr1(&[4, 5]).into_dyn());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the lengths always agree")]
    pub fn into_array(self) -> ArrayD<A> {
        let elements = Arc::unwrap_or_clone(self.elements);
        let array = ArrayD::from_shape_vec(IxDyn(&self.shape), elements);
        array.expect("a chunk has as many elements as its shape")
    }
}

impl<A: Element, D: Dimension> From<ndarray::Array<A, D>> for Chunk<A> {
    fn from(array: ndarray::Array<A, D>) -> Self {
        let shape = array.shape().to_vec();
        let elements = if array.is_standard_layout() {
            array.into_raw_vec_and_offset().0
        } else {
            array.iter().copied().collect()
        };
        Self::new(shape, elements)
    }
}

impl<A: Element> fmt::Debug for Chunk<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// Bytes as serde writes them fastest.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<A: Element> Serialize for Chunk<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&self.shape)?;
        pair.serialize_element(&Bytes(bytemuck::cast_slice(&self.elements)))?;
        pair.end()
    }
}

/// Elements of type `A`, read from bytes.
struct Elements<A>(Vec<A>);

impl<'de, A: Element> Deserialize<'de> for Elements<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfBytes<A>(PhantomData<A>);

        impl<A: Element> Visitor<'_> for OfBytes<A> {
            type Value = Elements<A>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of elements")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Elements<A>, E> {
                from_bytes(bytes).map(Elements).map_err(E::custom)
            }
        }

        deserializer.deserialize_bytes(OfBytes(PhantomData))
    }
}

/// Returns elements from their bytes in memory.
pub(crate) fn from_bytes<A: Element>(bytes: &[u8]) -> Result<Vec<A>, String> {
    let elements = bytes.chunks_exact(size_of::<A>());
    if !elements.remainder().is_empty() {
        return Err(format!(
            "{} bytes are no elements of {} bytes",
            bytes.len(),
            size_of::<A>()
        ));
    }
    let element = |bytes| bytemuck::checked::try_pod_read_unaligned(bytes);
    let elements = elements.map(element).collect::<Result<_, _>>();
    elements.map_err(|_| format!("a byte is no `{}`", A::KIND))
}

impl<'de, A: Element> Deserialize<'de> for Chunk<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair<A>(PhantomData<A>);

        impl<'de, A: Element> Visitor<'de> for Pair<A> {
            type Value = Chunk<A>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a shape and elements")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut pair: S) -> Result<Chunk<A>, S::Error> {
                let shape: Option<Vec<usize>> = pair.next_element()?;
                let elements: Option<Elements<A>> = pair.next_element()?;
                match (shape, elements) {
                    (Some(shape), Some(Elements(elements)))
                        if shape.iter().product::<usize>() == elements.len() =>
                    {
                        Ok(Chunk::new(shape, elements))
                    }
                    _ => Err(S::Error::custom("a chunk lacks elements")),
                }
            }
        }

        deserializer.deserialize_tuple(2, Pair(PhantomData))
    }
}
