module fairlead.dev/bench/admission/load

go 1.24.0
