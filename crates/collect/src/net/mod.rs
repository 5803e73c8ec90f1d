//! How is a URL fetched from a hostile internet: guarded addresses, deadlines, limits, robots.txt?
