"""The embedded stack: all of ``template.yaml`` on loopback, with AWS and an issuer beside it."""
