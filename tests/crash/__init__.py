"""What is left when the disk fails, the power goes or the process is killed, at any moment of a piece of work?

A harness for tests, which knows nothing of the product's storage: it stands below it, where files and SQLite
change the disk.

    operations.py     numbers the changes of the disk and makes the n-th of them fail
    record.py         what of a folder is durable: contents at the last sync, names at the last sync of their folder
    sqlite_faults.py  SQLite's side, through a VFS        sqlite_layout.py  its structs
    file_faults.py    Python's side, through `open` and `os`
    power_loss.py     `Disk`: a folder below both of them; images of it after the power went
    sweeps.py         every fault of a piece of work, and the power going anywhere in it
    killing.py        processes killed in the middle of their work     toy_programs.py  what they run in the self-tests

A test of storage is mostly one loop over `sweeps.every_fault`, `sweeps.power_cuts` or `killing.Victims.kill`.
"""
