package keychain

// candidates returns this platform's backends in the automatic order.
func candidates() []candidate {
	return []candidate{
		{"secret-service", true, openSecretService},
		{"kwallet", true, openKWallet},
		{"file", true, openFile},
		{"pass", false, openPass},
		{"keyctl", false, openKeyctl},
	}
}

// Note returns a sentence on what this build lacks, or "".
func Note() string { return "" }
