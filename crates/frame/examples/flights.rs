//! Queries about the flights of a year: `flights DATA OUT`. DATA has a file for each day, and files of planes, weather and
//! airports. The result of each query is written to a directory of OUT, which `acceptance.py` compares with those of pandas.

use std::path::Path;

use holdall::Result;
use holdall_frame::datafusion::functions::expr_fn::{date_trunc, substr};
use holdall_frame::datafusion::functions_window::expr_fn::rank;
use holdall_frame::datafusion::logical_expr::ExprFunctionExt;
use holdall_frame::{
    CsvReader, Frame, JoinType, avg, col, count, count_distinct, lit, max, median, min, read_csv,
    read_parquet, sql, stddev, sum, when,
};
use serde::{Deserialize, Serialize};

/// The part of a flight that bags use.
#[derive(Clone, Serialize, Deserialize)]
struct Delay {
    carrier: String,
    dep_delay: Option<i64>,
}

/// The tables.
struct Data {
    flights: Frame,
    planes: Frame,
    weather: Frame,
    airports: Frame,
}

fn main() -> Result<()> {
    holdall::init(); // worker processes begin here
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [data, out] = &arguments[..] else {
        return Err(holdall::Error::other("usage: flights DATA OUT"));
    };
    let (directory, out) = (Path::new(data), Path::new(out));
    let reader = CsvReader::new().nulls(["NA"]);
    let data = Data {
        flights: read_csv(directory.join("2013-*-*.csv"))?,
        planes: reader.read(directory.join("planes.csv"))?,
        weather: reader.read(directory.join("weather.csv"))?,
        airports: reader.read(directory.join("airports.csv"))?,
    };
    let compressed = compressed(directory)?;
    for (name, frame) in rows(&data)?
        .into_iter()
        .chain(groups(&data)?)
        .chain(joins(&data)?)
        .chain(ranges(&data)?)
        .chain(queries(&data)?)
        .chain([("compressed", compressed)])
    {
        frame.write_csv(out.join(name))?;
    }
    conversions(&data, out)
}

type Named = Vec<(&'static str, Frame)>;

fn rows(Data { flights, .. }: &Data) -> Result<Named> {
    let delayed = flights.filter(col("dep_delay").gt(lit(60)))?;
    let speed = col("distance") / (col("air_time") / lit(60.0));
    let speeds = flights.select([col("carrier"), col("flight"), speed.alias("speed")])?;
    let cancelled = flights.filter(col("dep_time").is_null())?;
    let either = col("origin")
        .eq(lit("JFK"))
        .and(col("distance").gt(lit(2000)));
    let either = flights.filter(either.or(col("carrier").eq(lit("HA"))))?;
    let latest = [
        col("arr_delay").sort(false, false),
        col("flight").sort(true, false),
        col("time_hour").sort(true, false),
    ];
    let gained = flights.with_column("gain", col("dep_delay") - col("arr_delay"))?;
    Ok(vec![
        ("delayed", delayed),
        ("speeds", speeds),
        ("cancelled", cancelled),
        ("either", either),
        ("latest", flights.sort_by(latest)?.limit(100)?),
        ("gained", gained.filter(col("gain").gt(lit(60)))?),
        (
            "origins",
            flights.transform(|data| data.select_columns(&["origin"])?.distinct())?,
        ),
    ])
}

fn groups(Data { flights, .. }: &Data) -> Result<Named> {
    let by = |keys: &[&str]| flights.group_by(keys.iter().map(|key| col(*key)));
    let carriers = by(&["carrier"])?.agg([
        count(col("dep_delay")),
        avg(col("dep_delay")),
        max(col("dep_delay")),
        min(col("dep_delay")),
    ])?;
    let routes = by(&["origin", "dest"])?.agg([count(lit(1))])?;
    let months = by(&["month"])?.agg([avg(col("arr_delay")), stddev(col("arr_delay"))])?;
    let planes = by(&["carrier"])?.agg([count_distinct(col("tailnum"))])?;
    let medians = by(&["origin", "month"])?.agg([median(col("air_time"))])?;
    let letters = flights.group_by([substr(col("tailnum"), lit(6)).alias("end")])?;
    let month = date_trunc(lit("month"), col("time_hour")).alias("first");
    let delay = col("dep_delay");
    let class = when(delay.clone().is_null(), lit("cancelled"))
        .when(delay.clone().lt_eq(lit(0)), lit("early"))
        .when(delay.lt_eq(lit(30)), lit("late"))
        .otherwise(lit("very late"));
    let class = class.map_err(holdall::Error::other)?.alias("class");
    Ok(vec![
        ("carriers", carriers),
        ("routes", routes),
        ("months", months),
        ("planes_of_carriers", planes),
        ("medians", medians),
        ("letters", letters.agg([count(lit(1))])?),
        (
            "truncated",
            flights.group_by([month])?.agg([sum(col("distance"))])?,
        ),
        ("classes", flights.group_by([class])?.agg([count(lit(1))])?),
    ])
}

fn joins(data: &Data) -> Result<Named> {
    let Data {
        flights, planes, ..
    } = data;
    let seats = flights.join(planes, JoinType::Inner, ["tailnum"])?;
    let seats = seats
        .group_by([col("carrier")])?
        .agg([avg(col("seats")), count(lit(1))])?;
    let makers = flights.join(planes, JoinType::Left, ["tailnum"])?;
    let makers = makers
        .group_by([col("manufacturer")])?
        .agg([count(lit(1))])?;
    let unknown = flights.join(planes, JoinType::LeftAnti, ["tailnum"])?;
    let unknown = unknown.group_by([col("tailnum")])?.agg([count(lit(1))])?;
    let known = flights.join(planes, JoinType::LeftSemi, ["tailnum"])?;
    let known = known.agg([count(lit(1)).alias("known")])?;
    let keys = ["origin", "year", "month", "day", "hour"];
    let weather = flights.join(&data.weather, JoinType::Inner, keys)?;
    let weather = weather
        .group_by([col("visib")])?
        .agg([avg(col("dep_delay"))])?;
    let airports = data
        .airports
        .select([col("faa").alias("dest"), col("tzone")])?;
    let zones = flights.join(&airports, JoinType::Full, ["dest"])?;
    let zones = zones
        .group_by([col("tzone")])?
        .agg([count(col("flight")), count(col("dest"))])?;
    Ok(vec![
        ("seats", seats),
        ("makers", makers),
        ("unknown", unknown),
        ("known", known),
        ("visibility", weather),
        ("zones", zones),
    ])
}

fn ranges(Data { flights, .. }: &Data) -> Result<Named> {
    let indexed = flights.with_sorted_index("time_hour")?;
    let march = indexed.between("2013-03-02", "2013-03-31")?;
    let hours = indexed.between("2013-07-04T10:00:00", "2013-07-04T13:00:00")?;
    let middle = flights.set_index("distance")?.between(1_000, 1_100)?;
    Ok(vec![
        (
            "march",
            march.group_by([col("carrier")])?.agg([count(lit(1))])?,
        ),
        ("hours", hours),
        (
            "middle",
            middle
                .group_by([col("dest")])?
                .agg([sum(col("air_time"))])?,
        ),
        ("described", flights.describe()?),
    ])
}

/// Some days of January, which are also there as compressed files.
fn compressed(directory: &Path) -> Result<Frame> {
    let flights = read_csv(directory.join("2013-01-*.csv.gz"))?;
    let days = flights
        .with_sorted_index("time_hour")?
        .between("2013-01-05", "2013-01-07")?;
    days.group_by([col("carrier")])?.agg([count(lit(1))])
}

fn queries(data: &Data) -> Result<Named> {
    let tables = [("flights", &data.flights), ("planes", &data.planes)];
    let busy = "select dest, count(*) as n from flights group by dest having count(*) > 10000 order by n desc, dest";
    let old = "select f.carrier, count(*) from flights f join planes p on f.tailnum = p.tailnum \
               where p.year < 1980 group by f.carrier";
    let ranks = rank()
        .partition_by(vec![col("carrier")])
        .order_by(vec![
            col("dep_delay").sort(false, false),
            col("flight").sort(true, false),
        ])
        .build();
    let ranks = ranks.map_err(holdall::Error::other)?.alias("rank");
    let late = data.flights.filter(col("dep_delay").gt(lit(300)))?;
    let ranked = late.select([col("carrier"), col("flight"), col("dep_delay"), ranks])?;
    Ok(vec![
        ("busy", sql(busy, tables)?),
        ("old", sql(old, tables)?),
        ("ranked", ranked.filter(col("rank").lt_eq(lit(5)))?),
    ])
}

/// Frames to bags and back, and to Parquet and back.
fn conversions(Data { flights, .. }: &Data, out: &Path) -> Result<()> {
    let delays = flights
        .select([col("carrier"), col("dep_delay")])?
        .to_bag::<Delay>()?;
    let sums = delays.filter(|delay| delay.dep_delay.is_some());
    let sums = sums
        .map(|delay| (delay.carrier, delay.dep_delay.unwrap_or(0)))
        .sum_by_key();
    Frame::from_bag(&sums)?.write_csv(out.join("sums"))?;
    let parquet = out.join("flights-parquet");
    flights.write_parquet(&parquet)?;
    let hours = read_parquet(&parquet)?
        .group_by([col("hour")])?
        .agg([count(lit(1))])?;
    hours.write_csv(out.join("hours_of_day"))?;
    Ok(())
}
