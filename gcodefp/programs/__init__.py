"""The programs that recordings run, the HMM states of their rows, and the lags of their sensors."""
