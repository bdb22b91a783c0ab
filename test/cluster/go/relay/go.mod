module fairlead.dev/test/cluster/relay

go 1.24.0
