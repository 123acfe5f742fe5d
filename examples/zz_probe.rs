use std::io::BufRead;
fn main() {
    holdall::init();
    let args: Vec<String> = std::env::args().collect();
    let r = |p: &str| holdall::read_text(p);
    match args[1].as_str() {
        "dump" => {
            for path in std::io::stdin().lock().lines() {
                let path = path.unwrap();
                let out = holdall::TextReader::new()
                    .read_bytes(&path)
                    .and_then(|b| b.collect());
                match out {
                    Ok(lines) => {
                        let mut all = Vec::new();
                        for l in &lines {
                            all.extend_from_slice(l);
                            all.push(b'\n');
                        }
                        println!("{path}\tOK\t{}\t{:08x}", all.len(), crc32fast::hash(&all));
                    }
                    Err(e) => println!("{path}\tERR\t{e}"),
                }
            }
        }
        "count" => {
            for p in &args[2..] {
                println!("{p}: {:?}", r(p).and_then(|b| b.count()))
            }
        }
        "time" => {
            for p in &args[2..] {
                let t = std::time::Instant::now();
                let n = r(p).and_then(|b| b.count());
                println!("{p}: {n:?} {:?}", t.elapsed())
            }
        }
        "zip" => {
            for p in &args[2..] {
                println!("{p}: {:?}", r(p).and_then(|b| b.zip_with_index().count()))
            }
        }
        "twice" => {
            for p in &args[2..] {
                let b = r(p);
                println!("{p}: {:?}", b.and_then(|b| Ok((b.count()?, b.count()?))))
            }
        }
        "list" => println!(
            "{:?}",
            holdall::read_text(&args[2..]).and_then(|b| b.count())
        ),
        "sort" => {
            for p in &args[2..] {
                println!(
                    "{p}: {:?}",
                    r(p).and_then(|b| b.map(str::to_owned).sort().count())
                )
            }
        }
        "persist" => {
            for p in &args[2..] {
                println!(
                    "{p}: {:?}",
                    r(p).and_then(|b| {
                        let b = b.persist(holdall::Persistence::Memory);
                        Ok((b.count()?, b.zip_with_index().count()?))
                    })
                )
            }
        }
        _ => panic!(),
    }
}
