//! Writing of Avro.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::Write;
use std::path::Path;

use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{
    AvroSchema, Bzip2Settings, DeflateSettings, Schema, XzSettings, ZstandardSettings,
};
use holdall::files::{OutputFile, OutputOptions};
use holdall::{Bag, BoxError, Error, FormatSink, Pipeline, RecordFormat, Result, Written};
use self_cell::self_cell;
use serde::{Deserialize, Serialize};

use crate::container::{MAGIC, MARKER_BYTES, write_bytes, write_long};

/// Size at which a block ends, in bytes. Larger ones are compressed better. A file can be cut only between blocks.
const BLOCK_BYTES: usize = 64 << 10;

/// Writes Avro: a directory with a container file for each partition.
///
/// The schema is that of the type, which `#[derive(AvroSchema)]` of the crate `apache-avro` defines, or a given one. The
/// directory appears as a whole or not at all, as that of [`write_text`](Bag::write_text), on any file system of the context.
/// The markers between blocks are random, as the format demands. [`AvroReader`](crate::AvroReader) has an example.
#[derive(Clone, Debug, Default)]
#[must_use = "a writer does nothing until it is given a bag"]
pub struct AvroWriter {
    codec: Codec,
    output: OutputOptions,
}

/// The compression of the blocks of an Avro file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Codec {
    /// None.
    Null,
    /// Deflate, which every program can read. The default.
    #[default]
    Deflate,
    /// Snappy, with a checksum.
    Snappy,
    /// Zstandard.
    Zstandard,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

impl From<Codec> for apache_avro::Codec {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Null => Self::Null,
            Codec::Deflate => Self::Deflate(DeflateSettings::default()),
            Codec::Snappy => Self::Snappy,
            Codec::Zstandard => Self::Zstandard(ZstandardSettings::default()),
            Codec::Bzip2 => Self::Bzip2(Bzip2Settings::default()),
            Codec::Xz => Self::Xz(XzSettings::default()),
        }
    }
}

impl AvroWriter {
    /// Creates a writer that compresses with deflate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the compression. Default: [`Codec::Deflate`].
    pub fn compression(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Sets whether an existing output is replaced, once the new one is complete. Default: `false`. See
    /// [`TextWriter::overwrite`](holdall::TextWriter::overwrite).
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.output.overwrite = overwrite;
        self
    }

    /// Sets whether the output is on disk when [`write`](Self::write) returns. Default: `true`. See
    /// [`TextWriter::durable`](holdall::TextWriter::durable).
    pub fn durable(mut self, durable: bool) -> Self {
        self.output.durable = durable;
        self
    }

    /// Sets whether the files are added to those of an existing output. Default: `false`. See
    /// [`TextWriter::append`](holdall::TextWriter::append).
    pub fn append(mut self, append: bool) -> Self {
        self.output.append = append;
        self
    }

    /// Writes the records of a bag, with the schema of their type. Runs a job. Returns the number of records and bytes, and
    /// the files, such as `part-00000.avro`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::write_text`], and [`ErrorKind::Write`](holdall::ErrorKind::Write) if a record does
    /// not have the form of the schema.
    #[track_caller]
    pub fn write<T, P>(&self, bag: &Bag<T, P>, path: impl AsRef<Path>) -> Result<Written>
    where
        T: AvroSchema + Serialize + 'static,
        P: Pipeline<Out = T>,
    {
        let schema = serde_json::to_string(&T::get_schema()).map_err(Error::other)?;
        self.write_with_schema(bag, &schema, path)
    }

    /// Writes the records of a bag, with a schema as JSON. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`write`](Self::write), and an error if the schema is invalid.
    #[track_caller]
    pub fn write_with_schema<T, P>(
        &self,
        bag: &Bag<T, P>,
        schema: &str,
        path: impl AsRef<Path>,
    ) -> Result<Written>
    where
        T: Serialize + 'static,
        P: Pipeline<Out = T>,
    {
        Schema::parse_str(schema).map_err(Error::other)?;
        let format = Avro {
            schema: schema.to_owned(),
            codec: self.codec,
        };
        let output = bag.context().begin_output(path, &self.output)?;
        let sink = FormatSink::new(output, format);
        bag.write(sink.name("write_avro").extension("avro"))
    }
}

/// Avro, and the options of its writer.
#[derive(Clone, Serialize, Deserialize)]
struct Avro {
    schema: String,
    codec: Codec,
}

self_cell! {
    /// Encodes records by a schema.
    struct Encoder {
        owner: Schema,
        #[not_covariant]
        dependent: GenericDatumWriter,
    }
}

/// A file that is being written.
struct OpenAvro {
    file: OutputFile,
    encoder: Encoder,
    codec: apache_avro::Codec,
    marker: [u8; MARKER_BYTES],
    block: Vec<u8>,
    /// Number of records in the block.
    records: u64,
}

impl OpenAvro {
    fn end_block(&mut self) -> Result<(), BoxError> {
        let mut head = Vec::new();
        write_long(std::mem::take(&mut self.records), &mut head);
        self.codec.compress(&mut self.block)?;
        write_long(self.block.len() as u64, &mut head);
        self.file.write_all(&head)?;
        self.file.write_all(&self.block)?;
        self.block.clear();
        Ok(self.file.write_all(&self.marker)?)
    }
}

impl<T: Serialize + 'static> RecordFormat<T> for Avro {
    type Open = OpenAvro;

    fn open(&self, mut file: OutputFile) -> Result<OpenAvro, BoxError> {
        let random = || RandomState::new().hash_one(0).to_le_bytes();
        let mut marker = [0; MARKER_BYTES];
        marker[..8].copy_from_slice(&random());
        marker[8..].copy_from_slice(&random());

        let codec = apache_avro::Codec::from(self.codec);
        let mut header = MAGIC.to_vec();
        let metadata = [
            ("avro.schema", self.schema.as_str()),
            ("avro.codec", codec.into()),
        ];
        write_long(metadata.len() as u64, &mut header);
        for (name, value) in metadata {
            write_bytes(name.as_bytes(), &mut header);
            write_bytes(value.as_bytes(), &mut header);
        }
        write_long(0, &mut header);
        header.extend_from_slice(&marker);
        file.write_all(&header)?;

        let schema = Schema::parse_str(&self.schema)?;
        Ok(OpenAvro {
            file,
            encoder: Encoder::try_new(schema, |schema| {
                GenericDatumWriter::builder(schema).build()
            })?,
            codec,
            marker,
            block: Vec::new(),
            records: 0,
        })
    }

    #[inline]
    fn write(&self, open: &mut OpenAvro, record: &T) -> Result<(), BoxError> {
        let block = &mut open.block;
        open.encoder
            .with_dependent(|_, encoder| encoder.write_ser(block, record))?;
        open.records += 1;
        if open.block.len() >= BLOCK_BYTES {
            open.end_block()?;
        }
        Ok(())
    }

    fn finish(&self, mut open: OpenAvro) -> Result<OutputFile, BoxError> {
        if open.records > 0 {
            open.end_block()?;
        }
        Ok(open.file)
    }
}
