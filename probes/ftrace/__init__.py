"""The backend without BPF and compiler: events of tracefs, read raw and followed by the reader."""
