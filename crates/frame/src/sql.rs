//! Queries in SQL.

use datafusion::execution::context::SQLOptions;
use datafusion::prelude::SessionContext;
use holdall::{Error, Result};

use crate::failure::invalid;
use crate::frame::Frame;
use crate::session::new_state;

/// Returns the frame that a query in SQL describes. `tables` has the frames that it reads, with their names.
///
/// The jobs run in the context of the first frame. The dialect is that of
/// [DataFusion](https://datafusion.apache.org/user-guide/sql/index.html).
///
/// # Errors
///
/// Returns an error if the text is no query, if a table or column does not exist, or has another type, and if there are no
/// tables.
///
/// # Examples
///
/// ```
/// use holdall_frame::{read_csv, sql};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&dir).unwrap();
/// std::fs::write("flights.csv", "carrier,delay\nUA,2\nAA,-3\nUA,14\n")?;
/// let flights = read_csv("flights.csv")?;
/// let query = "select carrier, avg(delay) from flights where delay > 0 group by carrier";
/// assert_eq!(sql(query, [("flights", &flights)])?.collect::<(String, f64)>()?, [("UA".to_owned(), 8.0)]);
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn sql<'f>(
    query: &str,
    tables: impl IntoIterator<Item = (&'f str, &'f Frame)>,
) -> Result<Frame> {
    let session = SessionContext::new_with_state(new_state());
    let mut first = None;
    for (name, frame) in tables {
        let table = frame.data().clone().into_view();
        session.register_table(name, table).map_err(invalid)?;
        first.get_or_insert(frame);
    }
    let first = first.ok_or_else(|| Error::other("a query needs a table"))?;
    let options = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let data = futures::executor::block_on(session.sql_with_options(query, options));
    first.transform(|_| data)
}
