//! Leaves of expressions: chunks in memory, in files, and of other layers.

use std::fmt;
use std::sync::Arc;

use holdall::BoxError;
use holdall::extend::{LayerId, Needs};
use serde::{Deserialize, Serialize};

use crate::chunk::Chunk;
use crate::element::Element;
use crate::expr::{Block, Expr, LANES, Loading, Tile};
use crate::grid::{Grid, Region, lengths};
#[cfg(feature = "hdf5")]
use crate::hdf5::Hdf5Dataset;
use crate::lowering::{Lowering, Node};
#[cfg(feature = "netcdf")]
use crate::netcdf::NetcdfVariable;
use crate::npy::NpyFile;
use crate::places::{Places, Runs};
use crate::view::View;
#[cfg(feature = "zarr")]
use crate::zarr::ZarrArray;

/// Elements that are read, not computed. The default expression of an [`Array`](crate::Array).
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Leaf<A: Element> {
    origin: Origin<A>,
    view: View,
}

/// Source of the elements of a leaf.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
enum Origin<A: Element> {
    Memory(Grid, Vec<Chunk<A>>),
    Npy(NpyFile),
    #[cfg(feature = "hdf5")]
    Hdf5(Hdf5Dataset),
    #[cfg(feature = "netcdf")]
    Netcdf(NetcdfVariable),
    #[cfg(feature = "zarr")]
    Zarr(ZarrArray),
    Tasks(Tasks<A>),
}

/// Chunks that tasks of another layer compute.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "", from = "LoweredTasks<A>", into = "LoweredTasks<A>")]
struct Tasks<A: Element> {
    grid: Grid,
    /// Adds the layer to a job. Known in the process that created the array.
    node: Option<Arc<dyn Node<A>>>,
    /// The layer, once it is added.
    layer: Option<LayerId<Chunk<A>>>,
}

/// The grid and the layer of tasks, as they are sent to workers.
type LoweredTasks<A> = (Grid, Option<LayerId<Chunk<A>>>);

impl<A: Element> From<LoweredTasks<A>> for Tasks<A> {
    fn from((grid, layer): LoweredTasks<A>) -> Self {
        Self {
            grid,
            node: None,
            layer,
        }
    }
}

impl<A: Element> From<Tasks<A>> for LoweredTasks<A> {
    fn from(tasks: Tasks<A>) -> Self {
        (tasks.grid, tasks.layer)
    }
}

impl<A: Element> Leaf<A> {
    fn new(shape: &[usize], origin: Origin<A>) -> Self {
        Self {
            origin,
            view: View::identity(shape),
        }
    }

    pub(crate) fn memory(shape: &[usize], grid: Grid, chunks: Vec<Chunk<A>>) -> Self {
        Self::new(shape, Origin::Memory(grid, chunks))
    }

    pub(crate) fn npy(shape: &[usize], file: NpyFile) -> Self {
        Self::new(shape, Origin::Npy(file))
    }

    #[cfg(feature = "hdf5")]
    pub(crate) fn hdf5(shape: &[usize], dataset: Hdf5Dataset) -> Self {
        Self::new(shape, Origin::Hdf5(dataset))
    }

    #[cfg(feature = "netcdf")]
    pub(crate) fn netcdf(shape: &[usize], variable: NetcdfVariable) -> Self {
        Self::new(shape, Origin::Netcdf(variable))
    }

    #[cfg(feature = "zarr")]
    pub(crate) fn zarr(shape: &[usize], array: ZarrArray) -> Self {
        Self::new(shape, Origin::Zarr(array))
    }

    pub(crate) fn tasks(shape: &[usize], grid: Grid, node: Arc<dyn Node<A>>) -> Self {
        let tasks = Tasks {
            grid,
            node: Some(node),
            layer: None,
        };
        Self::new(shape, Origin::Tasks(tasks))
    }

    /// Reads a region of the origin. Returns the region of the elements that it returns, which may be larger.
    fn read(
        &self,
        region: Region,
        loading: &mut Loading<'_>,
    ) -> Result<(Region, Arc<Vec<A>>), BoxError> {
        match &self.origin {
            Origin::Memory(grid, chunks) => {
                let numbers = grid.overlapping(&region).into_iter();
                let chunks = numbers.map(|number| (number, &chunks[number]));
                Ok(joined(grid, chunks, region))
            }
            Origin::Npy(file) => Ok(counted(file.read(&region)?, region, loading)),
            #[cfg(feature = "hdf5")]
            Origin::Hdf5(dataset) => Ok(counted(dataset.read(&region)?, region, loading)),
            #[cfg(feature = "netcdf")]
            Origin::Netcdf(variable) => Ok(counted(variable.read(&region)?, region, loading)),
            #[cfg(feature = "zarr")]
            Origin::Zarr(array) => Ok(counted(array.read(&region)?, region, loading)),
            Origin::Tasks(tasks) => {
                let numbers = tasks.grid.overlapping(&region).into_iter();
                let chunks = numbers.map(|number| Ok((number, loading.chunk()?)));
                let chunks = chunks.collect::<Result<Vec<_>, BoxError>>()?;
                Ok(joined(&tasks.grid, chunks.into_iter(), region))
            }
        }
    }
}

/// Counts elements that were read from a file.
fn counted<A>(elements: Vec<A>, region: Region, loading: &Loading<'_>) -> (Region, Arc<Vec<A>>) {
    loading.count_bytes(size_of_val(&elements[..]));
    (region, Arc::new(elements))
}

/// Returns the elements of a region from the chunks that overlap it: those of the chunk if there is one, otherwise copies.
fn joined<'a, A: Element>(
    grid: &Grid,
    chunks: impl Iterator<Item = (usize, &'a Chunk<A>)>,
    region: Region,
) -> (Region, Arc<Vec<A>>) {
    let mut chunks = chunks.peekable();
    let Some((number, first)) = chunks.next() else {
        return (region, Arc::default());
    };
    if chunks.peek().is_none() {
        return (grid.region(number), Arc::clone(&first.elements));
    }
    let mut elements = vec![A::default(); lengths(&region).iter().product()];
    for (number, chunk) in std::iter::once((number, first)).chain(chunks) {
        let of_chunk = grid.region(number);
        let common = of_chunk.iter().zip(&region);
        let common: Region = common
            .map(|(a, b)| a.start.max(b.start)..a.end.min(b.end))
            .collect();
        let (from, to) = (Runs::new(&common, &of_chunk), Runs::new(&common, &region));
        for (from, to) in from.zip(to) {
            elements[to].copy_from_slice(&chunk.elements[from]);
        }
    }
    (region, Arc::new(elements))
}

impl<A: Element> Expr for Leaf<A> {
    type Item = A;
    type Block = LeafBlock<A>;

    fn view(&self, view: &View) -> Self {
        Self {
            origin: self.origin.clone(),
            view: view.of(&self.view),
        }
    }

    fn needs_tasks(&self) -> bool {
        matches!(self.origin, Origin::Tasks(_))
    }

    fn lower(&mut self, lowering: &mut Lowering) {
        if let Origin::Tasks(tasks) = &mut self.origin {
            tasks.layer = tasks.node.as_ref().map(|node| lowering.layer(node));
        }
    }

    fn needs(&self, region: &Region, needs: &mut Needs<'_>) {
        if let Origin::Tasks(tasks) = &self.origin
            && let Some(layer) = tasks.layer
        {
            needs.add_all(layer, tasks.grid.overlapping(&self.view.source(region)));
        }
    }

    fn load(&self, region: &Region, loading: &mut Loading<'_>) -> Result<LeafBlock<A>, BoxError> {
        let (read, elements) = self.read(self.view.source(region), loading)?;
        let (offset, strides) = self.view.places(region, &read);
        Ok(LeafBlock {
            elements,
            places: Places::new(offset, strides, lengths(region)),
            buffer: Vec::new(),
        })
    }
}

impl<A: Element> fmt::Debug for Leaf<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match &self.origin {
            Origin::Memory(..) => "memory",
            Origin::Npy(_) => "npy",
            #[cfg(feature = "hdf5")]
            Origin::Hdf5(_) => "hdf5",
            #[cfg(feature = "netcdf")]
            Origin::Netcdf(_) => "netcdf",
            #[cfg(feature = "zarr")]
            Origin::Zarr(_) => "zarr",
            Origin::Tasks(_) => "tasks",
        };
        f.debug_tuple("Leaf").field(&origin).finish()
    }
}

/// Loaded elements.
#[derive(Debug)]
pub struct LeafBlock<A> {
    elements: Arc<Vec<A>>,
    places: Places,
    /// Elements of a tile that are no neighbours in memory.
    buffer: Vec<A>,
}

impl<A: Element> Block for LeafBlock<A> {
    type Item = A;
    type Tile<'t> = LeafTile<'t, A>;

    fn is_flat(&self) -> bool {
        self.places.are_flat()
    }

    fn flatten(&mut self, length: usize) {
        self.places.flatten(length);
    }

    fn seek(&mut self, position: &[usize]) {
        self.places.seek(position);
        self.buffer.clear();
    }

    fn tile(&mut self, start: usize, length: usize) -> LeafTile<'_, A> {
        let (first, stride) = self.places.run(start);
        let first = first as usize;
        match stride {
            1 => return LeafTile(&self.elements[first..][..length]),
            // The buffer still has the element of this row.
            0 if self.buffer.len() >= length => {}
            0 => {
                self.buffer.clear();
                self.buffer.resize(length, self.elements[first]);
            }
            _ => {
                let places = (0..length).map(|at| first.wrapping_add_signed(stride * at as isize));
                self.buffer.clear();
                self.buffer.extend(places.map(|place| self.elements[place]));
            }
        }
        LeafTile(&self.buffer[..length])
    }
}

/// A part of a row in memory.
#[derive(Debug)]
pub struct LeafTile<'t, A>(&'t [A]);

impl<A: Element> Tile for LeafTile<'_, A> {
    type Item = A;

    #[inline(always)]
    fn get(&self, at: usize) -> A {
        self.0[at]
    }

    #[inline(always)]
    fn packet(&self, at: usize) -> [A; LANES] {
        let mut packet = [A::default(); LANES];
        packet.copy_from_slice(&self.0[at..at + LANES]);
        packet
    }
}
