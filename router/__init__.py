"""The router: reads a job, decides which models may answer it, in which order."""
